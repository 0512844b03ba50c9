import { z } from "zod";
import { defineProcessor, defineSink, defineSource, run } from "../../../../src/sdk/index.ts";
import { METADATA, Meter, makePayload, readSettings, reportUse } from "./settings.ts";

/** The contender: components as an author writes them. */
const { role, count, size, rate } = readSettings();
const config = z.record(z.string(), z.unknown());
const common = { name: role, version: "1", config };
reportUse();

const source = defineSource<unknown, number>({
  ...common,
  open: ({ position = 0, signal }) => ({
    async run(emit) {
      const payload = makePayload(size);
      const started = performance.now();
      for (let n = position + 1; n <= count && !signal.aborted; n++) {
        if (rate > 0) {
          const due = started + (n * 1000) / rate;
          while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
          await emit({ type: "bench.v1", payload: String(process.hrtime.bigint()), metadata: METADATA }, n);
        } else {
          await emit({ type: "bench.v1", payload, metadata: METADATA, contentType: "application/json" }, n);
        }
      }
    },
  }),
});

const filter = defineProcessor({
  ...common,
  open: () => ({ process: (event, emit) => (event.type === "bench.v1" ? emit(event) : undefined) }),
});

const map = defineProcessor({
  ...common,
  open: () => ({
    process(event, emit) {
      const value = event.json() as { magnitude: number };
      value.magnitude += 1;
      return emit({ json: value });
    },
  }),
});

const sink = defineSink({
  ...common,
  open: () => {
    const meter = new Meter(count);
    return {
      async write(events) {
        if (rate > 0) for (const event of events) meter.latency(BigInt(event.text()));
        meter.add(events.length);
      },
    };
  },
});

await run({ source, filter, map, sink }[role]);
