import { describe, expect, it } from "vitest";
import { catalog } from "./checks/catalog.ts";
import { result } from "./run-checks.ts";
import { Selection } from "./selection.ts";

const check = (id: string) => catalog.find((one) => one.id === id)!;
const nothing = (message: string) =>
  expect.objectContaining({ code: "conformance/nothing-to-check", kind: "usage", message });

describe("a selection of checks", () => {
  it("of one that does not exist is refused, with the one that was probably meant", () => {
    expect(() => new Selection(["stop/exits"])).toThrow(
      expect.objectContaining({ code: "conformance/unknown-check", fix: "Did you mean `stop/exit`?" }),
    );
  });

  it("of which --insecure leaves nothing is refused, with what it leaves out", () => {
    const selection = new Selection(["identity/renews"]);
    expect(() => selection.withoutIdentity()).toThrow(
      nothing("Nothing is left to check: identity/renews (it is about certificates: --insecure leaves it out)"),
    );
  });

  it("that does not concern the type of the component is refused", () => {
    const selection = new Selection(["publish/sends"]);
    expect(() => selection.ofType("sink")).toThrow(
      nothing(
        "Nothing is left to check: publish/sends (it is an obligation of a source or a processor, and this is a sink)",
      ),
    );
  });

  it("of what the component does not declare is refused", () => {
    const selection = new Selection(["ack/all"]);
    const undeclared = result(check("ack/all"), "not-applicable", "it does not declare that", 0);
    const others = [result(check("register/identity"), "passed", "", 0)];
    expect(() => selection.conclude([...others, undeclared])).toThrow(
      nothing("Nothing is left to check: ack/all (it does not declare that)"),
    );
  });

  it("names in the report what it was asked for and leaves out", () => {
    const selection = new Selection(["identity/renews", "ack/all"]);
    selection.withoutIdentity();
    selection.ofType("sink");
    expect(selection.checks.map(({ id }) => id)).toContain("ack/all");
    const results = selection.checks.map((one) => result(one, "passed", "", 0));
    expect(selection.conclude(results)).toContainEqual(
      expect.objectContaining({ id: "identity/renews", outcome: "not-applicable" }),
    );
  });

  it("that names nothing is everything but what is left out, without a word of that", () => {
    const selection = new Selection();
    selection.withoutIdentity();
    selection.ofType("source");
    expect(selection.checks.length).toBeGreaterThan(50);
    expect(selection.leftOut).toEqual([]);
  });
});
