import type {
  ApplyContext,
  Change,
  DriverEvent,
  LogLine,
  LogOptions,
  ObservedResource,
  ObservedState,
} from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { SupervisedDriver } from "./supervised-driver.ts";

/** A driver of one instance, `source-1`, that does at once what it is asked. */
export class OneInstance implements SupervisedDriver {
  readonly capabilities = {
    images: false,
    limits: false,
    restartsExited: false,
  };
  readonly applied: string[] = [];
  state: ObservedState = running;
  failing: string | undefined;
  breakEvents = false;
  /** It does what it is asked, and breaks off before it has answered. */
  answers = true;
  lastLine = "";
  /** While it is set, nothing is answered before it resolves, unless whoever asks breaks off. */
  hanging: Promise<void> | undefined;
  #queue: DriverEvent[] = [];
  #wake: () => void = () => undefined;

  emit(event: DriverEvent): void {
    this.#queue.push(event);
    this.#wake();
  }

  async observe(_pipeline: string, signal: AbortSignal): Promise<readonly ObservedResource[]> {
    if (this.hanging !== undefined) await Promise.race([this.hanging, aborted(signal)]);
    const rest = { hash: "", parts: {}, ref: "", name: "", ports: [] };
    return [{ ...rest, key: "component/source-1", kind: "component", owner: "source", index: 1, state: this.state }];
  }

  async apply(change: Change, _context: ApplyContext): Promise<void> {
    this.applied.push(change.action);
    if (this.failing !== undefined) throw new FlowctlError({ code: "x/y", kind: "failed", message: this.failing });
    // Each run is started at a time of its own.
    if (change.action === "restart" && this.state.status === "running")
      this.state = { ...this.state, startedAt: this.state.startedAt + 1 };
    else this.state = change.action === "stop" ? exited(0) : running;
    if (!this.answers) throw new FlowctlError({ code: "x/y", kind: "unavailable", message: "engine gone" });
  }

  async *logs(_pipeline: string, { select: [instance = ""] }: LogOptions): AsyncGenerator<LogLine> {
    if (this.lastLine !== "") yield { instance, owner: "source", stream: "stdout", time: 0, text: this.lastLine };
  }

  async *events(_pipeline: string, signal: AbortSignal): AsyncGenerator<DriverEvent> {
    while (!signal.aborted) {
      yield* this.#queue.splice(0);
      if (this.breakEvents) throw new FlowctlError({ code: "x/y", kind: "unavailable", message: "engine gone" });
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

export const running: ObservedState = { status: "running", startedAt: 0, health: "none", restarts: 0 };
export const exited = (exitCode: number): ObservedState => ({
  status: "exited",
  exitCode,
  oomKilled: false,
  finishedAt: 1_000_000,
  restarts: 0,
});
