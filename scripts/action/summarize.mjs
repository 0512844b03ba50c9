// Writes the job summary of a run in Markdown:
//   node summarize.mjs <file with the output of `flowctl run --json`> <exit code of flowctl>
import { readDocuments } from "./read-documents.mjs";

const [, , file, status] = process.argv;
const documents = readDocuments(file);
const run = documents.findLast((document) => document.summary !== undefined)?.summary;
const error = documents.find((document) => document.error !== undefined)?.error;

const cell = (text) => String(text).replaceAll("|", "\\|").replaceAll("\n", " ");
const count = (number) => Number(number).toLocaleString("en-US");

if (run === undefined) {
  console.log("## flowctl\n");
  console.log(`The pipeline did not run (exit code ${status}).`);
} else {
  const seconds = (run.durationMs / 1000).toFixed(1);
  console.log(`## ${cell(run.pipeline)}: ${cell(run.state)} in ${seconds} s on ${cell(run.driver)}\n`);
  console.log("| component | type | state | events in | events out | filtered | dropped | failed | restarts |");
  console.log("|---|---|---|--:|--:|--:|--:|--:|--:|");
  for (const component of run.components) {
    const { id, type, state, eventsIn, eventsOut, eventsFiltered, eventsDropped, eventsFailed, restarts } = component;
    const numbers = [
      type === "source" ? "" : count(eventsIn),
      type === "sink" ? "" : count(eventsOut),
      ...[eventsFiltered, eventsDropped, eventsFailed, restarts].map(count),
    ];
    console.log(`| ${[cell(id), type, state, ...numbers].join(" | ")} |`);
  }
  for (const { component, path, complete } of run.results ?? []) {
    const what = complete === false ? "did not finish, and may be incomplete:" : "wrote";
    console.log(`\n\`${cell(component)}\` ${what} \`${cell(path)}\``);
  }
}
if (error !== undefined) {
  console.log(`\n**${cell(error.code)}**: ${cell(error.message)}`);
  if (error.fix !== undefined) console.log(`\nFix: ${cell(error.fix)}`);
}
