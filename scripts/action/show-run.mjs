// Between `flowctl run --json` and the log of the job: keeps everything in a file, shows what components log as it comes.
//   flowctl run --json … 2>&1 | node show-run.mjs <file>
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { readableLine } from "./log-line.mjs";

const kept = createWriteStream(process.argv[2]);
for await (const line of createInterface({ input: process.stdin })) {
  kept.write(`${line}\n`);
  const shown = readable(line);
  if (shown !== undefined) console.log(shown);
}
await new Promise((resolve) => kept.end(resolve));

/** A line for people, or undefined for what the summary of the job says. */
function readable(line) {
  if (!line.startsWith("{")) return line;
  try {
    const { instance, stream, text, progress, error } = JSON.parse(line);
    // The prefix also keeps a component from giving commands to the runner, which begin a line with two colons.
    // What goes to standard output are results, and stays as it is.
    if (typeof text === "string") return `${instance} | ${stream === "stderr" ? readableLine(text) : text}`;
    if (progress !== undefined) return progress.status === "working" ? undefined : said(progress);
    if (error !== undefined) return `error: ${error.message} [${error.code}]`;
    return undefined;
  } catch {
    return line;
  }
}

/** Networks and volumes come and go with the pipeline: only that one failed is worth a line. */
function said({ subject, status, text }) {
  if (status !== "failed" && /^(network|volume)\//.test(subject)) return undefined;
  return `${subject.replace(/^(component|service)\//, "")} ${text}`;
}
