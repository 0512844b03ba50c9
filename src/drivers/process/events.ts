import type { Clock } from "../../foundation/clock.ts";
import { hasCode } from "../../foundation/errors.ts";
import type { DriverEvent } from "../driver.ts";
import type { SupervisorSocket } from "./supervisor/protocol-version.ts";
import { NO_SUPERVISOR, type SupervisorClient } from "./supervisor/supervisor-client.ts";
import { eventCodec } from "./supervisor/supervisor-codec.ts";
import { supervisorService } from "./supervisor/supervisor-messages.ts";

/**
 * What happens from now on, waiting for a supervisor where none runs yet. Ends when the signal fires; throws when the
 * connection breaks.
 */
export async function* driverEvents(
  supervisors: SupervisorClient,
  at: SupervisorSocket,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<DriverEvent> {
  const since = clock.now();
  while (!signal.aborted) {
    try {
      for await (const message of supervisors.stream(at, supervisorService.watchEvents, { since }, { signal })) {
        const event = eventCodec.fromMessage(message);
        if (event !== undefined) yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!hasCode(error, NO_SUPERVISOR)) throw error;
    }
    await clock.sleep(100, signal).catch(() => undefined);
  }
}
