import { type FakeClock, fakeClock } from "../foundation/clock.fake.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { InstanceData } from "./instance.ts";
import type { NewEvent } from "./pipeline-events.ts";
import type { PipelineData } from "./pipeline-state.ts";
import { Registry } from "./registry.ts";

/** What registries of the pipeline `p` keep, as a store would, and a clock that stands until a test moves it. */
export class Kept {
  readonly clock: FakeClock;
  readonly events: NewEvent[] = [];
  readonly #instances = new Map<string, InstanceData>();
  #pipeline: PipelineData | undefined;

  constructor(clock = fakeClock(1_000_000)) {
    this.clock = clock;
  }

  /** A registry over what is kept, as a control plane that has just started has it. */
  open(): Registry {
    return new Registry({
      pipeline: "p",
      clock: this.clock,
      unhealthyAfterMs: 30_000,
      journal: {
        event: (event) => this.events.push(event),
        pipelineChanged: (pipeline) => {
          this.#pipeline = pipeline;
        },
        instanceChanged: (data) => this.#instances.set(`${data.componentId}/${data.id}`, data),
        instanceRemoved: (componentId, id) => this.#instances.delete(`${componentId}/${id}`),
      },
      restored: { pipeline: this.#pipeline, instances: [...this.#instances.values()] },
    });
  }
}

/** The code of the error that something throws; `none` when it throws none. */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof FlowctlError ? error.code : String(error);
  }
  return "none";
}
