import { connect, type Socket } from "node:net";
import { readJetStream, writeJetStream } from "./jetstream.ts";
import { readRedis, writeRedis } from "./redis-streams.ts";
import { hostOf, Meter, makePayload, portOf, readSettings, reportUse } from "./settings.ts";

/**
 * What people put between two programs by hand: one packs events and waits until the server has confirmed that they are on the
 * disk, the other takes them out again and acknowledges them. As many events are under way as in flowctl.
 */
const { role, count, size, upstream, batch, broker } = readSettings();
const UNDER_WAY = 8;
process.on("SIGTERM", () => process.exit(0));
reportUse();
const socket = await dial();
socket.on("error", () => process.exit(0));
socket.on("close", () => process.exit(0));
const isRedis = broker === "redis";
if (role === "source") await (isRedis ? writeRedis : writeJetStream)(socket, batches(), UNDER_WAY);
else {
  const meter = new Meter(count);
  await (isRedis ? readRedis : readJetStream)(socket, (packed) => meter.add(countOf(packed)));
}

/** Events as they are: a length (2 bytes) and the payload each. */
function* batches(): Generator<Buffer> {
  const payload = Buffer.from(makePayload(size));
  for (let left = count; left > 0; left -= batch) {
    const events = Math.min(batch, left);
    const packed = Buffer.allocUnsafe(events * (2 + size));
    for (let n = 0; n < events; n++) {
      packed.writeUInt16BE(size, n * (2 + size));
      payload.copy(packed, n * (2 + size) + 2);
    }
    yield packed;
  }
}

function countOf(packed: Buffer): number {
  let events = 0;
  for (let at = 0; at < packed.length; at += 2 + packed.readUInt16BE(at)) events++;
  return events;
}

/** Tries until the server is there. */
async function dial(): Promise<Socket> {
  for (;;) {
    const attempt = connect({ port: portOf(upstream), host: hostOf(upstream), noDelay: true });
    const connected = await new Promise<Socket | undefined>((resolve) => {
      attempt.once("connect", () => resolve(attempt));
      attempt.once("error", () => setTimeout(() => resolve(undefined), 20));
    });
    if (connected !== undefined) return connected;
  }
}
