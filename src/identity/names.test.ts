import { describe, expect, it } from "vitest";
import { describeName, formatName, hostNameOf, type Name, parseName } from "./names.ts";

const NAMES: readonly (readonly [Name, string, string | undefined])[] = [
  [{ role: "control-plane", pipeline: "p" }, "spiffe://p/control-plane", "control-plane"],
  [
    { role: "component", pipeline: "p", component: "a_b", instance: "a_b-2" },
    "spiffe://p/component/a_b/a_b-2",
    "a_b-2",
  ],
  [{ role: "joining", pipeline: "p", component: "a", instance: "a-1" }, "spiffe://p/joining/a/a-1", undefined],
  [{ role: "operator", pipeline: "p-1.x" }, "spiffe://p-1.x/operator", undefined],
  [{ role: "reader", pipeline: "p" }, "spiffe://p/reader", undefined],
];

describe("a name", () => {
  it.each(NAMES)("is read as what was written: %j", (name, uri, host) => {
    expect(formatName(name)).toBe(uri);
    expect(parseName(uri)).toEqual(name);
    expect(hostNameOf(name)).toBe(host);
  });

  it.each([
    "https://p/operator",
    "spiffe://p",
    "spiffe://p/",
    "spiffe:///operator",
    "spiffe://p/admin",
    "spiffe://p/operator/",
    "spiffe://p/operator/a/a-1",
    "spiffe://p/component/a",
    "spiffe://p/component/a/a-1/x",
    "spiffe://p/component//a-1",
    "spiffe://p/component/a/..",
    "spiffe://p/component/a/a-1, URI:spiffe://p/operator",
    "spiffe://p/constructor",
  ])("is not %s", (uri) => {
    expect(parseName(uri)).toBeUndefined();
  });

  it.each(["", "a/b", "a b", "a,b", "..", "a\n", "ä"])("is not made of %j", (id) => {
    const name: Name = { role: "component", pipeline: "p", component: id, instance: "a-1" };
    expect(() => formatName(name)).toThrow(expect.objectContaining({ code: "identity/name" }));
  });

  it("is described for people", () => {
    expect(NAMES.map(([name]) => describeName(name))).toEqual([
      "the control plane",
      "instance a_b-2 of a_b",
      "instance a-1 of a",
      "the operator",
      "the reader",
    ]);
  });
});
