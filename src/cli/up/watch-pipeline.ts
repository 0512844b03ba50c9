import { cancelled } from "../../foundation/clock.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import type { CliDependencies } from "../dependencies.ts";
import { Bell } from "./bell.ts";
import { ControlPlanePatience, type PatienceOptions } from "./control-plane-patience.ts";

export interface WatchOptions {
  readonly access: ControlPlaneAccess;
  readonly clock: CliDependencies["clock"];
  readonly signal: AbortSignal;
  /** Whether anything of the pipeline still exists; asked while no control plane answers. */
  readonly exists: () => Promise<boolean>;
  /** Called once when the control plane stops answering, and once when it answers again. */
  readonly onOutage?: (away: boolean) => void;
  /** Brings back a control plane that has ended and that nobody else brings back; left out: it is only waited for. */
  readonly reviving?: Pick<PatienceOptions, "driver" | "pipeline" | "progress">;
}

/** Between two looks when no event says that something happened, in milliseconds. */
const LOOK_INTERVAL = 1_000;
const RETRY_INTERVAL = 250;

/**
 * Looks at the pipeline whenever something happens, and every second, until `decide` returns something. A control
 * plane that is away is waited for: events go on without it. Rejects with `cli/pipeline-gone` when the pipeline was
 * taken down, and with kind `cancelled` when the signal fires.
 */
export async function watchPipeline<T>(
  options: WatchOptions,
  decide: (record: PipelineRecord) => T | undefined,
): Promise<T> {
  const { access, clock, signal } = options;
  const stop = new AbortController();
  const inner = AbortSignal.any([signal, stop.signal]);
  const bell = new Bell();
  const listening = ringOnEvents(options, bell, inner);
  let away = false;
  let patience: ControlPlanePatience | undefined;
  try {
    for (;;) {
      const seen = bell.rings;
      const record = await access.record(signal);
      if ((record === undefined) !== away) {
        away = record === undefined;
        options.onOutage?.(away);
      }
      const verdict = record === undefined ? undefined : decide(record);
      if (verdict !== undefined) return verdict;
      if (record === undefined && !(await options.exists())) {
        throw new FlowctlError({
          code: "cli/pipeline-gone",
          kind: "conflict",
          message: "The pipeline was taken down",
          fix: "If that was unintended, start it again with `flowctl up`",
        });
      }
      patience =
        record !== undefined || options.reviving === undefined
          ? undefined
          : (patience ?? new ControlPlanePatience({ ...options.reviving, clock }));
      // Without it there is nobody who judges the pipeline: whatever becomes of this, it is waited for.
      await patience?.look(signal);
      await bell.heard(seen, clock, record === undefined ? RETRY_INTERVAL : LOOK_INTERVAL, inner);
      if (signal.aborted) throw cancelled(signal);
    }
  } finally {
    stop.abort();
    await listening;
  }
}

/** Rings at every event of the control plane. Outages are the watcher's business: here they only mean to try again. */
async function ringOnEvents(options: WatchOptions, bell: Bell, signal: AbortSignal): Promise<void> {
  let after = 0;
  while (!signal.aborted) {
    try {
      const client = await options.access.client(signal);
      for await (const event of client.watchEvents({ after, follow: true }, signal)) {
        after = event.sequence;
        bell.ring();
      }
    } catch (error) {
      if (!(error instanceof FlowctlError)) throw error;
      options.access.close();
    }
    await options.clock.sleep(RETRY_INTERVAL, signal).catch(() => undefined);
  }
}
