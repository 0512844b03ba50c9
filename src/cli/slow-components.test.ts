import { describe, expect, it } from "vitest";
import type { PipelineRecord } from "../protocol/records.ts";
import { slowComponents } from "./slow-components.ts";

function record(
  of: Readonly<Record<string, { backpressure: number; waiting: Record<string, number> }>>,
): PipelineRecord {
  const components = Object.entries(of).map(([id, metrics]) => ({ id, instances: [{ metrics }] }));
  return { components } as unknown as PipelineRecord;
}

describe("slow components", () => {
  it("are those that others wait for and that wait for nobody themselves", () => {
    const chain = record({
      source: { backpressure: 0.9, waiting: { middle: 500 } },
      middle: { backpressure: 0.8, waiting: { sink: 400, other: 3 } },
      sink: { backpressure: 0, waiting: {} },
      other: { backpressure: 0, waiting: {} },
    });
    expect(slowComponents(chain)).toEqual([{ id: "sink", holdsUp: "middle", share: 0.8, waiting: 400 }]);
  });

  it("are none when nobody waits for long", () => {
    expect(slowComponents(record({ source: { backpressure: 0.05, waiting: { sink: 9 } } }))).toEqual([]);
    expect(slowComponents(record({ source: { backpressure: 0.5, waiting: { sink: 0 } } }))).toEqual([]);
  });
});
