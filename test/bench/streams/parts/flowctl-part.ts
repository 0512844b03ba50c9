import { z } from "zod";
import { defineProcessor, defineSink, defineSource, run } from "../../../../src/sdk/index.ts";
import { EVENT_TYPE, METADATA, Meter, makePayload, readSettings, reportUse, typeOfGroup } from "./settings.ts";

/** The contender: components as an author writes them. */
const { role, count, size, rate, groups, anew } = readSettings();
const config = z.record(z.string(), z.unknown());
const common = { name: role, version: "1", config };
const types = anew ? Array.from({ length: groups }, (_, index) => typeOfGroup(index + 1)) : [EVENT_TYPE];
reportUse();

const source = defineSource<unknown, number>({
  ...common,
  open: ({ position = 0 }) => ({
    async run(emit) {
      const payload = makePayload(size);
      const started = performance.now();
      for (let n = position + 1; n <= count * types.length; n++) {
        if (rate > 0) {
          const due = started + (n * 1000) / rate;
          while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
          await emit({ type: EVENT_TYPE, payload: String(process.hrtime.bigint()), metadata: METADATA }, n);
        } else {
          const type = types[n % types.length]!;
          await emit({ type, payload, metadata: METADATA, contentType: "application/json" }, n);
        }
      }
    },
  }),
});

const filter = defineProcessor({
  ...common,
  open: () => ({ process: (event, emit) => (event.type === EVENT_TYPE ? emit(event) : undefined) }),
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

const stalled = defineSink({ ...common, open: () => ({ write: () => new Promise<void>(() => undefined) }) });

const component = { source, filter, map, sink, stalled }[role];
await run(component);
