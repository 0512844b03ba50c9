import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { FlowctlError, type SourceEmit } from "../../../sdk/index.ts";
import { valueAt } from "../items-path.ts";
import { fileProblem } from "./file-problem.ts";
import type { FileMark, ItemPosition } from "./position.ts";

export interface ReadJsonOptions {
  /** What the ids of the events begin with. */
  readonly name: string;
  readonly file: FileMark;
  readonly path: string;
  readonly gzip: boolean;
  readonly items: string | undefined;
  readonly type: string;
  readonly position: ItemPosition | undefined;
  readonly signal: AbortSignal;
}

/** Emits the items of the array that a JSON document holds. The document is in memory as a whole. */
export async function readJson(options: ReadJsonOptions, emit: SourceEmit<ItemPosition>): Promise<void> {
  const { name, type, file } = options;
  const items = itemsOf(await documentOf(options), options);
  for (let index = options.position?.item ?? 0; index < items.length; index++) {
    if (options.signal.aborted) return;
    await emit({ id: `${name}${index + 1}`, type, json: items[index] ?? null }, { item: index + 1, file });
  }
}

async function documentOf({ path, gzip }: ReadJsonOptions): Promise<unknown> {
  let text: string;
  try {
    const bytes = await readFile(path);
    text = (gzip ? await promisify(gunzip)(bytes) : bytes).toString();
  } catch (error) {
    throw fileProblem(path, error);
  }
  try {
    return JSON.parse(text.startsWith("\ufeff") ? text.slice(1) : text);
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "components/bad-document",
      kind: "invalid",
      message: `${path} is not a single JSON document`,
      fix: "for one JSON value per line, use format: jsonl",
    });
  }
}

function itemsOf(document: unknown, { path, items }: ReadJsonOptions): readonly unknown[] {
  const value = items === undefined ? document : valueAt(document, items);
  if (Array.isArray(value)) return value;
  const where = items === undefined ? "" : ` at ${items}`;
  throw new FlowctlError({
    code: "components/no-items",
    kind: "invalid",
    message: `${path} has no array${where}`,
    fix: `set items to the path of the array${arraysIn(document)}`,
  });
}

function arraysIn(document: unknown): string {
  if (typeof document !== "object" || document === null) return "";
  const keys = Object.keys(document).filter((key) => Array.isArray((document as Record<string, unknown>)[key]));
  return keys.length === 0 ? "" : `: ${keys.join(", ")}`;
}
