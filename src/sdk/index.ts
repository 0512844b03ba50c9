export { FlowctlError } from "../foundation/errors.ts";
export * from "./component.ts";
export type { Event, EventInit } from "./event.ts";
export type { Logger } from "./logger.ts";
export { run } from "./run.ts";
export { openWrittenIds, type WrittenIds, type WrittenIdsOptions } from "./written-ids.ts";
