import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { causesOf, FlowctlError, messageOf } from "./errors.ts";

describe("the message of what was thrown", () => {
  it("is its text, else its name, else itself", () => {
    expect(messageOf(new Error("no amount"))).toBe("no amount");
    expect(messageOf(new TypeError())).toBe("TypeError");
    expect(messageOf("no amount")).toBe("no amount");
    expect(messageOf(undefined)).toBe("undefined");
  });

  it("is that of every attempt where a host with several addresses refuses on each", async () => {
    const socket = connect({
      host: "database.invalid",
      port: 1,
      autoSelectFamily: true,
      lookup: (_host, _options, done) =>
        done(null, [
          { address: "127.0.0.2", family: 4 },
          { address: "127.0.0.1", family: 4 },
        ]),
    });
    const error = await once(socket, "connect").catch((refused: unknown) => refused);
    expect(messageOf(error)).toBe("connect ECONNREFUSED 127.0.0.2:1; connect ECONNREFUSED 127.0.0.1:1");
    expect(messageOf(new AggregateError([], ""))).toBe("AggregateError");
    expect(messageOf(new AggregateError([new Error("a")], "nobody answered"))).toBe("nobody answered");
  });
});

describe("a fix", () => {
  it.each([
    ["set one of them", "Set one of them"],
    ["a secret is missing", "A secret is missing"],
    ["`up` does it", "`up` does it"],
    ["on_error takes it", "on_error takes it"],
    ["npm", "npm"],
  ])("begins as a sentence does where it begins with a word: %s", (fix, shown) => {
    expect(new FlowctlError({ code: "test/wrong", kind: "invalid", message: "wrong", fix }).fix).toBe(shown);
  });
});

describe("the causes of what was thrown", () => {
  it("are each there once, outermost first, also where they go round in a circle", () => {
    const first = new Error("first");
    const second = new Error("second", { cause: first });
    expect(causesOf(second)).toEqual([second, first]);
    expect(causesOf(new Error("third", { cause: "a text" }))).toHaveLength(2);
    expect(causesOf(undefined)).toEqual([undefined]);
    first.cause = second;
    expect(causesOf(second).length).toBe(2);
  });
});
