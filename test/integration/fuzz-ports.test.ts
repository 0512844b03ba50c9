import { expect, test } from "vitest";
import { fuzz } from "../fuzz/fuzz.ts";
import { type PortName, ports } from "../fuzz/ports.ts";

// A few seconds of what `npm run fuzz` does for as long as it is let.
const SEED = 20_261_128;
const INPUTS: Readonly<Record<PortName, number>> = {
  control: 3_000,
  identity: 3_000,
  streams: 2_000,
  "identity-streams": 2_000,
  http: 2_000,
  health: 1_000,
  supervisor: 1_000,
  pipeline: 150,
};

test.each(Object.entries(INPUTS))(
  "%s takes %d hostile inputs, and the honest ones beside them lose nothing",
  async (name, inputs) => {
    const said: string[] = [];
    const say = (line: string): void => void said.push(line);
    const { failure, sent } = await fuzz({
      port: ports[name as PortName],
      seed: SEED,
      from: 0,
      inputs,
      all: false,
      say,
    });
    const again =
      failure === undefined
        ? ""
        : `npm run fuzz -- --port ${name} --seed ${SEED} --from ${failure.from} --inputs ${failure.inputs}`;
    expect(failure?.error, `${again}\n${said.join("\n")}`).toBeUndefined();
    expect(sent).toBe(inputs);
  },
);
