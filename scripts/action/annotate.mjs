// Turns what flowctl said with --json into workflow commands that GitHub shows on the lines of a pull request:
//   node annotate.mjs <file with the output of `flowctl validate --json` or `flowctl run --json`>
import { readFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { messageOf } from "./log-line.mjs";
import { readDocuments } from "./read-documents.mjs";

const workspace = process.env.GITHUB_WORKSPACE ?? process.cwd();
const documents = readDocuments(process.argv[2]);
const files = (process.env.FLOWCTL_ACTION_FILES ?? "").split(/\s+/).filter((name) => name !== "");

const failure = documents.find((document) => document.error !== undefined);
for (const problem of documents.flatMap((document) => document.problems ?? [])) annotate(problem.severity, problem);

const failed = documents.flatMap(({ summary }) => summary?.components ?? []).filter(({ state }) => state === "failed");
for (const { id, type } of failed) {
  const said = documents.filter((line) => line.owner === id && typeof line.text === "string").slice(-3);
  const message = [`The ${type} ${id} failed.`, failure?.error.message, ...said.map(({ text }) => messageOf(text))]
    .filter(Boolean)
    .join("\n");
  annotate("error", { code: failure?.error.code ?? "component failed", message, ...whereIs(id) });
}
if (failure !== undefined && failed.length === 0 && (failure.problems ?? []).length === 0) {
  annotate("error", { ...failure.error, ...failure.error.position });
}

/** Prints one annotation; without a position it stands on the first line of the pipeline file. */
function annotate(severity, { code, message, fix, file, line = 1, column = 1 }) {
  const place = file ?? files[0];
  const properties = {
    ...(place === undefined ? {} : { file: relative(workspace, resolve(workspace, place)), line, col: column }),
    title: `flowctl: ${code}`,
  };
  const list = Object.entries(properties).map(([key, value]) => `${key}=${escapeProperty(String(value))}`);
  const text = fix === undefined ? message : `${message}\nFix: ${fix}`;
  console.log(`::${severity === "warning" ? "warning" : "error"} ${list.join(",")}::${escapeData(text)}`);
}

/** The line of a pipeline file on which a component is declared. */
function whereIs(id) {
  for (const file of files) {
    const lines = readFileSync(resolve(workspace, file), "utf8").split("\n");
    const index = lines.findIndex((line) => line.trimStart().startsWith(`${id}:`) && /^\s/.test(line));
    if (index >= 0) return { file, line: index + 1, column: lines[index].indexOf(id) + 1 };
  }
  return undefined;
}

function escapeData(text) {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function escapeProperty(text) {
  return escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
