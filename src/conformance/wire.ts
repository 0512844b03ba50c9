/**
 * The few bytes of protobuf that the checks have to see or make by hand: sizes of events as they came, messages with
 * fields that no schema knows. Deliberately apart from flowctl's own codec, so that the two can disagree.
 */

interface Field {
  readonly number: number;
  /** Content of a length-delimited field; undefined for the other wire types. */
  readonly bytes: Buffer | undefined;
}

/** Sizes of the encoded events in one encoded SubscribeResponse, in bytes, in order; empty when it holds no batch. */
export function eventSizes(response: Buffer): readonly number[] {
  return fields(response)
    .filter((field) => field.number === 2 && field.bytes !== undefined)
    .flatMap((batch) => fields(batch.bytes!).filter((field) => field.number === 2 && field.bytes !== undefined))
    .map((event) => event.bytes!.length);
}

/** A SubscribeResponse with a batch of one event, and a field of the future on each level. */
export function batchFromTheFuture(firstSequence: number, event: FutureEvent): Buffer {
  const encoded = Buffer.concat([
    text(1, event.id),
    text(2, event.type),
    delimited(3, event.payload),
    ...Object.entries(event.metadata).map(([key, value]) =>
      delimited(4, Buffer.concat([text(1, key), text(2, value)])),
    ),
    text(7, event.contentType),
    text(2001, "from the future"),
  ]);
  const batch = Buffer.concat([tag(1, 0), varint(firstSequence), delimited(2, encoded), text(2002, "from the future")]);
  return Buffer.concat([delimited(2, batch), text(2003, "from the future")]);
}

interface FutureEvent {
  readonly id: string;
  readonly type: string;
  readonly payload: Uint8Array;
  readonly metadata: Readonly<Record<string, string>>;
  readonly contentType: string;
}

/** One length-delimited text field, to be put behind any encoded message. */
export function text(field: number, value: string): Buffer {
  return delimited(field, Buffer.from(value));
}

function delimited(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([tag(field, 2), varint(value.length), value]);
}

function tag(field: number, wireType: number): Buffer {
  return varint(field * 8 + wireType);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

function fields(message: Buffer): Field[] {
  const found: Field[] = [];
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++];
      if (byte === undefined) throw new RangeError("the message ends inside a number");
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = readVarint();
    const wireType = key % 8;
    const number = Math.floor(key / 8);
    if (wireType === 2) {
      const length = readVarint();
      if (at + length > message.length) throw new RangeError("the message ends inside a field");
      found.push({ number, bytes: message.subarray(at, at + length) });
      at += length;
    } else {
      if (wireType === 0) readVarint();
      else if (wireType === 1) at += 8;
      else if (wireType === 5) at += 4;
      else throw new RangeError(`wire type ${wireType} does not exist`);
      found.push({ number, bytes: undefined });
    }
  }
  return found;
}
