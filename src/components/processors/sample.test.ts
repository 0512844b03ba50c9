import { describe, expect, it } from "vitest";
import { anEvent, runProcessor } from "../component-harness.fake.ts";
import { sample } from "./sample.ts";

const events = Array.from({ length: 2000 }, (_, n) => anEvent({ id: `e${n}`, json: { n, customer: `c${n % 100}` } }));

async function passed(config: Record<string, unknown>): Promise<string[]> {
  return (await runProcessor(sample, { config }, events)).map(({ id }) => id ?? "");
}

describe("sample", () => {
  it("passes about the part that is set, the very events, in order, and the same ones each time", async () => {
    const out = await runProcessor(sample, { config: { rate: 0.25 } }, events);
    expect(out.length).toBeGreaterThan(400);
    expect(out.length).toBeLessThan(600);
    expect(out).toEqual(events.filter((event) => out.includes(event)));
    expect(await passed({ rate: 0.25 })).toEqual(out.map(({ id }) => id));
  });

  it("passes more of the same when the part grows, all at 1 and none at 0", async () => {
    const [few, many] = [await passed({ rate: 0.1 }), await passed({ rate: 0.3 })];
    expect(many).toEqual(expect.arrayContaining(few));
    expect(many.length).toBeGreaterThan(few.length);
    expect(await passed({ rate: 1 })).toHaveLength(2000);
    expect(await passed({ rate: 0 })).toEqual([]);
  });

  it("passes all of what has the same value, or none", async () => {
    const out = await passed({ rate: 0.5, by: "payload.customer" });
    const customers = new Set(out.map((id) => Number(id.slice(1)) % 100));
    expect(out).toHaveLength(20 * customers.size);
    expect(customers.size).toBeGreaterThan(30);
    expect(customers.size).toBeLessThan(70);
  });
});
