import { action, ending, supervisorService } from "../../../src/drivers/process/supervisor/supervisor-messages.ts";
import type { Method } from "../../../src/protocol/service-methods.ts";
import type { Random } from "../../chaos/harness/random.ts";
import type { Ending } from "../connections.ts";
import type { RequestMessage } from "./control-messages.ts";
import { http2Bytes } from "./http2-frames.ts";
import { hostileNumber, hostileText } from "./values.ts";

/** Nothing that is right besides a greeting and a look at events: what is right may do what it says. */
export function supervisorRequest(random: Random): RequestMessage {
  const { hello, watchEvents, shutdown } = supervisorService;
  const kind = random.weighted({ hello: 20, events: 15, shutdown: 15, apply: 40, unknown: 10 });
  switch (kind) {
    case "hello":
      return request(hello, {}, true);
    case "events":
      return request(watchEvents, { since: hostileNumber(random) }, true);
    case "shutdown":
      // Damaged it could say how to end.
      return request(shutdown, { instances: random.pick([ending.names[0]!, ""]) }, false);
    case "unknown":
      return {
        path: `${hello.path}${random.pick(["x", "/", "/toString", hostilePath(random)])}`,
        bytes: Buffer.alloc(9),
        mayBeDamaged: true,
      };
    default:
      return apply(random);
  }
}

/** Of an instance that nobody has: damaged, it does not come to be the honest one. */
function apply(random: Random): RequestMessage {
  const owner = random.pick(["nobody", "nobody", "../../x", "", hostileText(random)]);
  const asked = random.pick([...action.names, "ACTION_START", "ACTION_STOP"]);
  const makes = asked === "ACTION_CREATE" || asked === "ACTION_REPLACE";
  return request(
    supervisorService.apply,
    {
      action: asked,
      owner,
      index: hostileNumber(random),
      ref: hostileText(random),
      hash: hostileText(random),
      parts: { [hostileText(random)]: hostileText(random) },
      // Whatever it is, it lacks what it takes to make an instance of it.
      spec: Buffer.from(
        random.pick(["", "{}", "null", "[]", "{", "[".repeat(random.below(20_000)), hostileText(random)]),
      ),
      keepSecrets: random.chance(0.5),
      force: random.chance(0.5),
      secrets: { [hostileText(random)]: Buffer.from(hostileText(random)) },
      configs: { [hostileText(random)]: Buffer.alloc(random.below(2_000)) },
    },
    !makes || owner !== "nobody",
  );
}

/** What somebody says on a connection of their own who does not speak gRPC. */
export interface SupervisorBytes {
  readonly pieces: readonly Buffer[];
  readonly ending: Ending;
}

export function supervisorBytes(random: Random): SupervisorBytes {
  const kind = random.weighted({ http2: 60, "other version": 20, pieces: 5, endless: 0.3, nothing: 2 });
  const ending = random.weighted({ end: 50, destroy: 40, wait: 10 });
  const line = Buffer.from(
    `${JSON.stringify({ v: 1, method: random.pick(["hello", "shutdown", hostileText(random)]) })}\n`,
  );
  switch (kind) {
    case "nothing":
      return { pieces: [], ending };
    case "endless": {
      // It goes on whatever it is told, beginning as either of those who are understood.
      const first = random.pick([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), line, Buffer.from("P")]);
      return {
        pieces: [first, ...Array<Buffer>(random.below(64)).fill(Buffer.alloc(1024 * 1024, 0x20))],
        ending: "end",
      };
    }
    case "pieces": {
      const whole = random.chance(0.5) ? line : http2Bytes(supervisorService.hello.path, random);
      return { pieces: Array.from(whole.subarray(0, 60), (byte) => Buffer.from([byte])), ending };
    }
    case "other version":
      return { pieces: Array<Buffer>(random.chance(0.9) ? 1 : 1 + random.below(50)).fill(line), ending };
    default:
      return { pieces: [http2Bytes(random.pick(Object.values(supervisorService)).path, random)], ending };
  }
}

/** What headers may hold. */
function hostilePath(random: Random): string {
  return encodeURI(hostileText(random)).slice(0, 1_000);
}

function request<T>(method: Method<T, unknown>, message: Partial<T>, mayBeDamaged: boolean): RequestMessage {
  return { path: method.path, bytes: method.request.encode(message), mayBeDamaged };
}
