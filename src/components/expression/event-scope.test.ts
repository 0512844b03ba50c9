import { describe, expect, it } from "vitest";
import { anEvent } from "../component-harness.fake.ts";
import { EventScope, eventExpressions, type eventVariables } from "./event-scope.ts";
import { toJson } from "./to-json.ts";

const event = anEvent({
  id: "e-1",
  type: "quake.v1",
  json: { mag: 4.5 },
  metadata: { region: "eu" },
  timestamp: new Date(1517966773840),
});

function evaluated(expression: string, of = event): unknown {
  const scope = new EventScope();
  scope.reset(of);
  return toJson(eventExpressions().mustCompile(expression).evaluate(scope));
}

describe("an expression over an event", () => {
  const named: Readonly<Record<keyof typeof eventVariables, readonly [expression: string, value: unknown]>> = {
    payload: ["payload.mag", 4.5],
    id: ["id", "e-1"],
    type: ["type", "quake.v1"],
    metadata: ["metadata.region", "eu"],
    timestamp: ["string(timestamp)", "2018-02-07T01:26:13.840Z"],
    source: ["source", "feed"],
    content_type: ["content_type", "application/json"],
  };
  it.each(Object.entries(named))("reads %s", (_name, [expression, value]) => {
    expect(evaluated(expression)).toEqual(value);
  });

  it("reads a timestamp that is not set as null", () => {
    expect(evaluated("timestamp == null", anEvent())).toBe(true);
  });
});
