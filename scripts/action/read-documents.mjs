import { readFileSync } from "node:fs";

/** Every JSON object in a file that holds one or several, on one line or many; lines that are not JSON are skipped. */
export function readDocuments(file) {
  const documents = [];
  let pending = "";
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (pending === "" && !line.trimStart().startsWith("{")) continue;
    pending += `${line}\n`;
    try {
      documents.push(JSON.parse(pending));
      pending = "";
    } catch {
      // Not the end of this object yet.
    }
  }
  return documents;
}
