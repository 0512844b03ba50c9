// A component written with the SDK that BENCH_SDK names, so that the same program runs on any version. Counts from the quarter of the
// events on, when everything is compiled, and says at the end how many a second, and how much of a processor, they took.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const { BENCH_SDK, BENCH_ROLE, BENCH_COUNT, BENCH_OUT } = process.env;
const { defineProcessor, defineSink, defineSource, run } = await import(BENCH_SDK);
const count = Number(BENCH_COUNT);
const from = Math.ceil(count / 4);
const payload = JSON.stringify({ padding: "x".repeat(160) });
const common = { name: BENCH_ROLE, version: "1", config: z.record(z.string(), z.unknown()) };

let seen = 0;
let begun;
function saw(events) {
  seen += events;
  if (seen >= from) begun ??= { seen, at: performance.now(), use: process.cpuUsage() };
  if (seen < count || begun.seen >= count) return;
  const measured = count - begun.seen;
  const { user, system } = process.cpuUsage(begun.use);
  const perSecond = (measured / (performance.now() - begun.at)) * 1000;
  writeFileSync(join(BENCH_OUT, `${BENCH_ROLE}.json`), JSON.stringify({ perSecond, cost: (user + system) / measured }));
}

const components = {
  source: () =>
    defineSource({
      ...common,
      open: ({ position = 0 }) => ({
        async run(emit) {
          for (let n = position + 1; n <= count; n++) {
            await emit({ type: "bench.v1", payload, contentType: "application/json" }, n);
            saw(1);
          }
        },
      }),
    }),
  processor: () =>
    defineProcessor({
      ...common,
      open: () => ({
        process(event, emit) {
          saw(1);
          return emit(event);
        },
      }),
    }),
  sink: () =>
    defineSink({
      ...common,
      open: () => ({
        async write(events) {
          saw(events.length);
        },
      }),
    }),
};
await run(components[BENCH_ROLE]());
