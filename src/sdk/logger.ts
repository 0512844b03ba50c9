export type { Logger } from "../foundation/logger.ts";
