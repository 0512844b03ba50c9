import { describe, expect, it } from "vitest";
import { bits, boolean, explicit, implicit, integer, objectId, octets, sequence, setOf, time, utf8 } from "./der.ts";

describe("a value in DER", () => {
  it.each([
    ["a small integer", integer("2"), "020102"],
    ["nothing", integer("0"), "020100"],
    ["an integer whose first bit is set", integer("80"), "02020080"],
    ["an integer with noughts before it", integer("0000ff"), "020200ff"],
    ["an integer of an odd number of digits", integer("123"), "02020123"],
    ["yes", boolean(true), "0101ff"],
    ["no", boolean(false), "010100"],
    ["a text", utf8("ä"), "0c02c3a4"],
    ["bits", bits(Buffer.from([0x80]), 7), "03020780"],
    ["bytes", octets(Buffer.from([1, 2])), "04020102"],
    ["an object", objectId("1.2.840.10045.4.3.2"), "06082a8648ce3d040302"],
    ["an object of the second kind", objectId("2.5.29.19"), "0603551d13"],
    ["a set", setOf(boolean(true)), "31030101ff"],
    ["a sequence", sequence(integer("1"), integer("2")), "3006020101020102"],
    ["an empty sequence", sequence(), "3000"],
    ["what is tagged besides", explicit(3, integer("1")), "a303020101"],
    ["what is tagged instead", implicit(6, Buffer.from("a")), "860161"],
    ["a time until 2049", time(new Date("2049-12-31T23:59:59.999Z")), `170d${hex("491231235959Z")}`],
    ["a time from 2050 on", time(new Date("2050-01-01T00:00:00Z")), `180f${hex("20500101000000Z")}`],
  ])("is %s", (_, value, expected) => {
    expect(value.toString("hex")).toBe(expected);
  });

  it.each([
    [127, "7f"],
    [128, "8180"],
    [255, "81ff"],
    [256, "820100"],
    [65_536, "83010000"],
  ])("has a content of %d bytes", (length, expected) => {
    const value = octets(Buffer.alloc(length));
    expect(value.subarray(1, -length).toString("hex")).toBe(expected);
  });
});

function hex(text: string): string {
  return Buffer.from(text).toString("hex");
}
