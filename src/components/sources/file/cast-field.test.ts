import { expect, it } from "vitest";
import { castField } from "./cast-field.ts";

it.each([
  ["12", 12],
  ["-0.5", -0.5],
  ["1e3", 1000],
  ["", null],
  ["true", true],
  ["false", false],
  ["True", "True"],
  ["007", "007"],
  ["+1", "+1"],
  ["1.", "1."],
  ["0x10", "0x10"],
  [" 1", " 1"],
  ["9007199254740993", "9007199254740993"],
  ["1e999", "1e999"],
  ["NaN", "NaN"],
])("reads %j as %j", (text, value) => {
  expect(castField(text, { quoting: false, header: false })).toBe(value);
});

it("leaves quoted fields and names alone", () => {
  expect(castField("12", { quoting: true, header: false })).toBe("12");
  expect(castField("12", { quoting: false, header: true })).toBe("12");
});
