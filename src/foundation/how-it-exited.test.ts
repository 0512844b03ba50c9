import { expect, it } from "vitest";
import { howItExited } from "./how-it-exited.ts";

it("says no code that nobody has seen", () => {
  expect([0, 137, -1].map(howItExited)).toEqual(["exited with code 0", "exited with code 137", "was killed"]);
});
