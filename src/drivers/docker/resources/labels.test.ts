import { describe, expect, it } from "vitest";
import { LABEL, type LabelledResource, readLabels, writeLabels } from "./labels.ts";

const resource: LabelledResource = {
  pipeline: "p",
  key: "component/a-2",
  kind: "component",
  owner: "a",
  index: 2,
  hash: "abc",
  parts: { image: "1", with: "2" },
  networks: ["flowctl_p", "p_back"],
  secrets: ["/run/secrets/key"],
};

describe("labels", () => {
  it("give back what was written", () => {
    expect(readLabels(writeLabels({ ...resource, version: "1.0.0", depends: ["network/default:exists"] }))).toEqual(
      resource,
    );
  });

  it.each([
    undefined,
    null,
    {},
    { [LABEL.pipeline]: "p" },
    { ...writeLabels({ ...resource, version: "1" }), [LABEL.kind]: "x" },
  ])("say nothing of what flowctl did not make: %j", (labels) => expect(readLabels(labels)).toBeUndefined());

  it("say nothing of secrets where there are none, and count damaged ones as none", () => {
    expect(writeLabels({ ...resource, secrets: [], version: "1" })).not.toHaveProperty([LABEL.secrets]);
    for (const text of ["{", "null", "3", "[3]"]) {
      expect(readLabels({ ...writeLabels({ ...resource, version: "1" }), [LABEL.secrets]: text })?.secrets).toEqual([]);
    }
  });

  it.each(["{", "null", "3"])("count damaged parts as unknown: %s", (text) => {
    expect(readLabels({ ...writeLabels({ ...resource, version: "1" }), [LABEL.parts]: text })?.parts).toEqual({});
  });
});
