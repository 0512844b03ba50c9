import { expect, test } from "vitest";
import { closest, editDistance, listed } from "./did-you-mean.ts";

test("a swapped pair of letters is one mistake", () => {
  expect(editDistance("dokcer", "docker")).toBe(1);
  expect(editDistance("ca", "abc")).toBe(3);
  expect(editDistance("", "abc")).toBe(3);
});

test("the closest candidate is suggested, when it is close", () => {
  expect(closest("soruces", ["sources", "sinks", "services"])).toBe("sources");
  expect(closest("Image", ["image"])).toBe("image");
  expect(closest("elasticsearch", ["file", "stdout"])).toBeUndefined();
  expect(closest("xy", ["ab"])).toBeUndefined();
});

test("lists read as sentences", () => {
  expect([listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])]).toEqual([
    "",
    "a",
    "a and b",
    "a, b and c",
  ]);
  expect(listed(["a", "b", "c"], 2)).toBe("a, b and 1 more");
});
