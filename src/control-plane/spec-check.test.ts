import { describe, expect, it } from "vitest";
import { componentSpec, linearPipeline } from "./pipeline.fake.ts";
import { checkSpec } from "./spec-check.ts";

const spec = (...components: ReturnType<typeof componentSpec>[]) => ({ name: "p", driver: "docker", components });
const deadLettersTo = (to: string) => ({ action: "dead_letter", to, retries: 0, backoffMs: 0 }) as const;

describe("a pipeline that is applied", () => {
  it("passes when all that it names exists and its types meet", () => {
    expect(() => checkSpec(linearPipeline(), "p")).not.toThrow();
  });

  it("is refused for another name, a double id, and a missing end of an edge", () => {
    const [source, sink] = [componentSpec({ id: "a", type: "source" }), componentSpec({ id: "b", type: "sink" }, "a")];
    expect(() => checkSpec(linearPipeline("q"), "p")).toThrow("not of q");
    expect(() => checkSpec(spec(source, source), "p")).toThrow("there are two components a");
    expect(() => checkSpec(spec(sink), "p")).toThrow("b has an input from a, which does not exist");
    expect(() => checkSpec(spec(source, { ...sink, onError: deadLettersTo("c") }), "p")).toThrow(
      "b sends dead letters to c, which does not exist",
    );
  });

  it("is refused when it is more than a control plane can serve, before memory is taken for it", () => {
    const source = componentSpec({ id: "a", type: "source" });
    const many = (count: number) => Array.from({ length: count }, (_, at) => ({ ...source, id: `a${at}` }));
    expect(() => checkSpec(spec({ ...source, replicas: 1_000 }), "p")).not.toThrow();
    expect(() => checkSpec(spec({ ...source, replicas: 2 ** 32 - 1 }), "p")).toThrow(
      "replicas of a are more than 1000",
    );
    expect(() => checkSpec(spec(...many(1_001)), "p")).toThrow("1001 components are more than 1000");
    const wide = many(11).map((component) => ({ ...component, replicas: 1_000 }));
    expect(() => checkSpec(spec(...wide), "p")).toThrow("11000 instances are more than 10000");
    const sink = componentSpec({ id: "b", type: "sink" }, ...Array<string>(10_001).fill("a"));
    expect(() => checkSpec(spec(source, sink), "p")).toThrow("10001 inputs are more than 10000");
    expect(() => checkSpec(spec({ ...source, id: "x".repeat(256) }), "p")).toThrow("longer than 255 characters");
  });

  it("is refused when events or dead letters could go round for ever", () => {
    const a = componentSpec({ id: "a", type: "sink", onError: deadLettersTo("b") });
    const b = componentSpec({ id: "b", type: "sink", onError: deadLettersTo("a") });
    expect(() => checkSpec(spec(a, b), "p")).toThrow("the connections a → b → a form a cycle");
    const itself = componentSpec({ id: "a", type: "processor" }, "a");
    expect(() => checkSpec(spec(itself), "p")).toThrow("the connections a → a form a cycle");
  });

  it("is refused when the declared event types of an edge cannot meet", () => {
    const source = componentSpec({ id: "a", type: "source", produces: ["x.v1"] });
    const sink = componentSpec({ id: "b", type: "sink", consumes: ["y.v1"] }, "a");
    expect(() => checkSpec(spec(source, sink), "p")).toThrow("a produces x.v1, but b consumes only y.v1");
  });
});
