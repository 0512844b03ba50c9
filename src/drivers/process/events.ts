import type { Clock } from "../../foundation/clock.ts";
import { hasCode } from "../../foundation/errors.ts";
import type { DriverEvent } from "../driver.ts";
import { converse, lost, NO_SUPERVISOR } from "./supervisor/supervisor-client.ts";

/**
 * What happens from now on, waiting for a supervisor where none runs yet. Ends when the signal fires; throws when the
 * connection breaks.
 */
export async function* driverEvents(
  socketPath: string,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<DriverEvent> {
  const body = { method: "events", since: clock.now() } as const;
  while (!signal.aborted) {
    try {
      for await (const reply of converse(socketPath, body, { signal })) if (reply.type === "event") yield reply.event;
      throw lost(body);
    } catch (error) {
      if (signal.aborted) return;
      if (!hasCode(error, NO_SUPERVISOR)) throw error;
    }
    await clock.sleep(100, signal).catch(() => undefined);
  }
}
