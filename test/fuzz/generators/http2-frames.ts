import type { Random } from "../../chaos/harness/random.ts";
import { END_HEADERS, END_STREAM, FrameType, frame, headerBlock, PREFACE, setting, uint32 } from "../http2-wire.ts";
import { grpcHeaders } from "./grpc-shots.ts";

/** The headers of a call, in the form that is not indexed. */
function headersOf(path: string): Buffer {
  return headerBlock(grpcHeaders(path));
}

type Make = (path: string, random: Random) => Buffer;

/** What comes after the preface and the first SETTINGS. */
const floods: Readonly<Record<string, Make>> = {
  "rapid reset": (path, random) => {
    const block = headersOf(path);
    const streams = Array.from({ length: 50 + random.below(400) }, (_, at) => 2 * at + 1);
    return Buffer.concat(
      streams.flatMap((id) => [
        frame(FrameType.headers, END_HEADERS, id, block),
        frame(FrameType.reset, 0, id, uint32(8)),
      ]),
    );
  },
  "many streams": (path, random) => {
    const block = headersOf(path);
    const streams = Array.from({ length: 500 + random.below(1_500) }, (_, at) => 2 * at + 1);
    return Buffer.concat(streams.map((id) => frame(FrameType.headers, END_HEADERS, id, block)));
  },
  "endless headers": (_path, random) =>
    Buffer.concat([
      frame(FrameType.headers, 0, 1, headersOf("/")),
      ...Array<Buffer>(random.below(300)).fill(
        frame(FrameType.continuation, 0, 1, Buffer.from([0x00, 1, 0x78, 1, 0x79])),
      ),
    ]),
  settings: (_path, random) =>
    Buffer.concat(Array<Buffer>(random.below(2_000)).fill(frame(FrameType.settings, 0, 0, Buffer.alloc(0)))),
  "hostile settings": (_path, random) =>
    frame(FrameType.settings, 0, 0, setting(1 + random.below(9), random.pick([0, 1, 0x7fffffff, 0xffffffff]))),
  pings: (_path, random) =>
    Buffer.concat(Array<Buffer>(random.below(2_000)).fill(frame(FrameType.ping, 0, 0, Buffer.alloc(8)))),
  windows: (path, random) =>
    Buffer.concat([
      frame(FrameType.headers, END_HEADERS, 1, headersOf(path)),
      ...Array<Buffer>(random.below(20)).fill(frame(FrameType.window, 0, random.below(2), uint32(0x7fffffff))),
    ]),
  "empty data": (path, random) =>
    Buffer.concat([
      frame(FrameType.headers, END_HEADERS, 1, headersOf(path)),
      ...Array<Buffer>(random.below(2_000)).fill(frame(FrameType.data, 0, 1, Buffer.alloc(0))),
    ]),
  "data of nobody": (_path, random) =>
    frame(FrameType.data, END_STREAM, random.below(9), Buffer.alloc(random.below(100))),
  goaway: (path) =>
    Buffer.concat([frame(FrameType.goaway, 0, 0, Buffer.alloc(8)), frame(FrameType.headers, 5, 1, headersOf(path))]),
  "lying length": (path, random) => frame(FrameType.headers, END_HEADERS, 1, headersOf(path), random.below(1 << 24)),
  "any frames": (_path, random) =>
    Buffer.concat(
      Array.from({ length: 1 + random.below(20) }, () =>
        frame(
          random.below(12),
          random.below(256),
          random.chance(0.9) ? random.below(8) : 0xffffffff,
          Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256))),
        ),
      ),
    ),
  "half of it": (path, random) => {
    const whole = frame(FrameType.headers, END_HEADERS, 1, headersOf(path));
    return whole.subarray(0, random.below(whole.length));
  },
};

/** The bytes of one connection of somebody who does not keep to HTTP/2. */
export function http2Bytes(path: string, random: Random): Buffer {
  const kind = random.weighted({ floods: 20, "no preface": 1, "http 1": 1, nothing: 0.5, noise: 1 });
  if (kind === "nothing") return Buffer.alloc(0);
  if (kind === "http 1")
    return Buffer.from(`GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n`);
  if (kind === "noise") return Buffer.from(Array.from({ length: random.below(300) }, () => random.below(256)));
  const flood = random.pick(Object.values(floods))(path, random);
  if (kind === "no preface") return flood;
  return Buffer.concat([PREFACE, frame(FrameType.settings, 0, 0, Buffer.alloc(0)), flood]);
}
