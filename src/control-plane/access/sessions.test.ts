import { beforeEach, describe, expect, it } from "vitest";
import { type FakeClock, fakeClock } from "../../foundation/clock.fake.ts";
import { CODE_LIFE_MS, SESSION_LIFE_MS, Sessions } from "./sessions.ts";

let clock: FakeClock;
let holders: Set<string>;
let sessions: Sessions;

beforeEach(() => {
  clock = fakeClock();
  holders = new Set(["anna", "bert"]);
  sessions = new Sessions({ clock, isHolder: (serial) => holders.has(serial) });
});

const opened = (holder = "anna"): string => sessions.redeem(sessions.open(holder), "here") ?? expect.fail("no session");

describe("a code", () => {
  it("has at least 128 random bits, as a session has", () => {
    const secrets = [sessions.open("anna"), sessions.open("anna"), opened()];
    expect(new Set(secrets).size).toBe(3);
    for (const secret of secrets) expect(Buffer.from(secret, "base64url").length * 8).toBeGreaterThanOrEqual(128);
  });

  it("opens one session, once", () => {
    const code = sessions.open("anna");
    expect(sessions.isOpen(sessions.redeem(code, "here") ?? "", "here")).toBe(true);
    expect(sessions.redeem(code, "here")).toBeUndefined();
  });

  it("opens none after some minutes", async () => {
    const [early, late] = [sessions.open("anna"), sessions.open("anna")];
    await clock.advance(CODE_LIFE_MS - 1);
    expect(sessions.redeem(early, "here")).toBeDefined();
    await clock.advance(1);
    expect(sessions.redeem(late, "here")).toBeUndefined();
  });

  it("opens none when its holder has lost access", () => {
    const code = sessions.open("anna");
    holders.delete("anna");
    expect(sessions.redeem(code, "here")).toBeUndefined();
  });

  it("is no session, and a session is no code", () => {
    const code = sessions.open("anna");
    expect(sessions.isOpen(code, "here")).toBe(false);
    expect(sessions.redeem(opened(), "here")).toBeUndefined();
    for (const nothing of ["", " ", code.slice(1), `${code}=`])
      expect(sessions.redeem(nothing, "here")).toBeUndefined();
  });
});

describe("a session", () => {
  it("is good where it was opened", () => {
    const session = opened();
    expect([sessions.isOpen(session, "here"), sessions.isOpen(session, "there")]).toEqual([true, false]);
  });

  it("ends by itself, whatever is done with the clock of the machine", async () => {
    const session = opened();
    clock.jump(-SESSION_LIFE_MS);
    await clock.advance(SESSION_LIFE_MS - 1);
    expect(sessions.isOpen(session, "here")).toBe(true);
    await clock.advance(1);
    expect(sessions.isOpen(session, "here")).toBe(false);
  });

  it("ends with the access of its holder, and does not come back with it", () => {
    const [annas, berts] = [opened(), opened("bert")];
    holders.delete("anna");
    expect([sessions.isOpen(annas, "here"), sessions.isOpen(berts, "here")]).toEqual([false, true]);
    holders.add("anna");
    expect(sessions.isOpen(annas, "here")).toBe(false);
  });

  it("is pushed out by newer ones of its holder alone", () => {
    const [annas, berts] = [opened(), opened("bert")];
    for (let n = 0; n < 100; n++) opened();
    expect([sessions.isOpen(annas, "here"), sessions.isOpen(berts, "here")]).toEqual([false, true]);
  });
});
