import { FlowctlError, messageOf } from "../../../foundation/errors.ts";
import type { EventInit } from "../../../sdk/index.ts";
import { valueAt } from "../items-path.ts";

export interface Item {
  /** What becomes the payload. */
  readonly content: Pick<EventInit, "json" | "payload" | "contentType">;
  /** As the item says; undefined when no id is asked for. */
  readonly id: string | undefined;
}

export interface ItemsOptions {
  readonly items: string | undefined;
  readonly id: string | undefined;
}

/** The items of an answer. Throws `components/bad-answer` when it does not hold what the settings say. */
export function itemsOf(body: Buffer, contentType: string, options: ItemsOptions): readonly Item[] {
  const mediaType = contentType.split(";", 1)[0]!.trim().toLowerCase();
  const isJson = mediaType === "" || mediaType === "application/json" || mediaType.endsWith("+json");
  if (!isJson && options.items === undefined && options.id === undefined) {
    return [{ content: { payload: body, contentType: mediaType }, id: undefined }];
  }
  const document = parse(body);
  return arrayOf(document, options.items).map((item) => ({
    content: { json: item ?? null },
    id: options.id === undefined ? undefined : idOf(item, options.id),
  }));
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    throw badAnswer(`the response is not JSON: ${messageOf(error)}`);
  }
}

function arrayOf(document: unknown, items: string | undefined): readonly unknown[] {
  if (items === undefined) return Array.isArray(document) ? document : [document];
  const value = valueAt(document, items);
  if (Array.isArray(value)) return value;
  throw badAnswer(`the response has no array at ${items}`);
}

function idOf(item: unknown, path: string): string {
  const id = valueAt(item, path);
  if ((typeof id === "string" && id !== "") || typeof id === "number") return String(id);
  throw badAnswer(`an item has no id at ${path}`);
}

function badAnswer(message: string): FlowctlError {
  return new FlowctlError({
    code: "components/bad-answer",
    kind: "invalid",
    message,
    fix: "compare items and id with the actual response",
  });
}
