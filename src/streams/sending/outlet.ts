import { join } from "node:path";
import type { FlowctlError } from "../../foundation/errors.ts";
import { Publisher, type PublisherOptions } from "./publisher.ts";

export interface OutletOptions extends Omit<PublisherOptions, "disk"> {
  /** Where buffers on disk lie; a folder of the instance's own. */
  readonly folder: string;
  /** A buffer on disk failed: nothing can be promised any more. */
  readonly onFailure: (error: FlowctlError) => void;
}

/** The sending side of a component as its runtime sees it: a publisher whose buffers on disk have a place. */
export class Outlet extends Publisher {
  constructor({ folder, onFailure, ...options }: OutletOptions) {
    super({ ...options, disk: { folder: join(folder, "buffers"), onFailure } });
  }
}
