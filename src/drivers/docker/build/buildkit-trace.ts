import { hasCode } from "../../../foundation/errors.ts";
import { WireReader, WireType } from "../../../protocol/wire.ts";

/** One record of BuildKit's trace: steps that changed, and what they printed. */
export interface BuildTrace {
  readonly steps: readonly BuildStep[];
  readonly logs: readonly { readonly digest: string; readonly text: string }[];
}

export interface BuildStep {
  readonly digest: string;
  /** `[2/3] RUN make` */
  readonly name: string;
  readonly started: boolean;
  readonly error: string;
}

/**
 * Decodes a `moby.buildkit.v1.StatusResponse`. Only its vertexes (field 1: digest 1, name 3, started 5, error 7) and
 * logs (field 3: vertex 1, text 4) matter here, too little to bring their protocol files along.
 */
export function decodeTrace(record: Uint8Array): BuildTrace {
  const steps: BuildStep[] = [];
  const logs: { digest: string; text: string }[] = [];
  for (const { number, bytes } of fields(record)) {
    if (number === 1) steps.push(decodeStep(bytes));
    if (number === 3) {
      const log = new Map([...fields(bytes)].map((field) => [field.number, field.bytes]));
      logs.push({ digest: text(log.get(1)), text: text(log.get(4)) });
    }
  }
  return { steps, logs };
}

function decodeStep(bytes: Uint8Array): BuildStep {
  const step = new Map([...fields(bytes)].map((field) => [field.number, field.bytes]));
  return { digest: text(step.get(1)), name: text(step.get(3)), started: step.has(5), error: text(step.get(7)) };
}

function text(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "" : Buffer.from(bytes).toString("utf8");
}

/** The length-delimited fields of a protobuf message; other fields are skipped. A cut message ends the list. */
function* fields(message: Uint8Array): Generator<{ readonly number: number; readonly bytes: Uint8Array }> {
  const reader = new WireReader(message);
  try {
    while (!reader.done) {
      const tag = reader.tag();
      if ((tag & 7) !== WireType.bytes) {
        reader.skip(tag);
        continue;
      }
      const end = reader.lengthEnd();
      yield { number: tag >>> 3, bytes: message.subarray(reader.position, end) };
      reader.position = end;
    }
  } catch (error) {
    if (!hasCode(error, "protocol/malformed")) throw error;
  }
}
