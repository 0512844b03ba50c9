// Between `flowctl run --json` and the log of the job: keeps everything in a file, shows what components log as it comes.
//   flowctl run --json … | node show-run.mjs <file>
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";

const kept = createWriteStream(process.argv[2]);
for await (const line of createInterface({ input: process.stdin })) {
  kept.write(`${line}\n`);
  if (!line.startsWith('{"')) continue;
  try {
    const { instance, text } = JSON.parse(line);
    // The prefix also keeps a component from giving commands to the runner, which begin a line with two colons.
    if (typeof instance === "string" && typeof text === "string") console.log(`${instance} | ${text}`);
  } catch {
    // The summary spans lines.
  }
}
await new Promise((resolve) => kept.end(resolve));
