import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../foundation/duration.ts";
import { formatByteSize, parseByteSize } from "./byte-size.ts";
import { imageReferenceMistake } from "./image-reference.ts";
import { parseMount } from "./mount.ts";
import { pairsOf } from "./pairs.ts";
import { parsePort } from "./port.ts";
import { splitShellWords } from "./shell-words.ts";

describe("a duration", () => {
  test.for([
    ["30s", 30_000],
    ["1m30s", 90_000],
    ["1h5m30s20ms", 3_930_020],
    ["1.5s", 1500],
    ["500us", 1],
    ["2d", 172_800_000],
    ["0s", 0],
  ] as const)("%s is %d milliseconds", ([text, expected]) => {
    expect(parseDuration(text)).toBe(expected);
  });

  test.for(["", "30", "s", "30 s", "-1s", "1m 30s", "1y", "1s1"])("%j is none", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  test("is read as it is written", () => {
    fc.assert(fc.property(fc.nat({ max: 10 ** 10 }), (ms) => parseDuration(formatDuration(ms)) === ms));
  });
});

describe("a size", () => {
  test.for([
    ["256M", 268_435_456],
    ["1gb", 1_073_741_824],
    ["1.5k", 1536],
    ["64KiB", 65_536],
    ["10b", 10],
    ["10", 10],
    [4096, 4096],
  ] as const)("%s is %d bytes", ([text, expected]) => {
    expect(parseByteSize(text)).toBe(expected);
  });

  test.for(["", "M", "1 megabyte", "-1k", "1kk", "9999999999P"])("%j is none", (text) => {
    expect(parseByteSize(text)).toBeUndefined();
  });

  test("is read as it is written", () => {
    fc.assert(fc.property(fc.nat({ max: 2 ** 53 - 1 }), (bytes) => parseByteSize(formatByteSize(bytes)) === bytes));
  });
});

describe("a command line", () => {
  test.for([
    ["a b  c", ["a", "b", "c"]],
    ["  ", []],
    ["a 'b c' \"d e\"", ["a", "b c", "d e"]],
    ["a'b'\"c\"d", ["abcd"]],
    ["a '' \"\"", ["a", "", ""]],
    ["a\\ b \\'", ["a b", "'"]],
    ['"a \\"b\\" \\n $X"', ['a "b" \\n $X']],
    ["'a\\b'", ["a\\b"]],
  ] as const)("%j is split as a shell would", ([line, expected]) => {
    expect(splitShellWords(line)).toEqual(expected);
  });

  test.for(["'a", '"a', 'a "b', "a\\"])("%j does not end", (line) => {
    expect(splitShellWords(line)).toBeUndefined();
  });
});

describe("a port", () => {
  test.for([
    ["80", "127.0.0.1:*:80/tcp"],
    ["8080:80", "127.0.0.1:8080:80/tcp"],
    ["8080:80/udp", "127.0.0.1:8080:80/udp"],
    ["0.0.0.0:8080:80", "0.0.0.0:8080:80/tcp"],
    ["10.0.0.1::80", "10.0.0.1:*:80/tcp"],
    ["[::1]:8080:80", "::1:8080:80/tcp"],
    ["0:80", "127.0.0.1:*:80/tcp"],
    ["8000-8001:90-91", "127.0.0.1:8000:90/tcp 127.0.0.1:8001:91/tcp"],
  ] as const)("%s is read", ([text, expected]) => {
    const ports = parsePort(text);
    if (typeof ports === "string") throw new Error(ports);
    const shown = ports.map((port) => `${port.hostIp}:${port.published ?? "*"}:${port.target}/${port.protocol}`);
    expect(shown.join(" ")).toBe(expected);
  });

  test.for([
    "",
    "a",
    "80:",
    ":",
    "0",
    "65536",
    "1:2:3:4",
    "host:1:2",
    "90-80:1-2",
    "1-2:1",
    "80/",
    "1-65535",
    "80/icmp",
  ])("%j is refused", (text) => {
    expect(typeof parsePort(text)).toBe("string");
  });
});

describe("a mount", () => {
  test.for([
    ["/data", { type: "volume", target: "/data", readOnly: false }],
    ["v:/data", { type: "volume", source: "v", target: "/data", readOnly: false }],
    ["./a:/data:ro", { type: "bind", source: "./a", target: "/data", readOnly: true }],
    ["~/a:/data:rw", { type: "bind", source: "~/a", target: "/data", readOnly: false }],
    ["/a:/b", { type: "bind", source: "/a", target: "/b", readOnly: false }],
  ] as const)("%s is read", ([text, expected]) => {
    expect(parseMount(text)).toEqual(expected);
  });

  test.for(["", "data", "a:b", ":/b", "a:/b:z", "a:/b:ro:x"])("%j is refused", (text) => {
    expect(typeof parseMount(text)).toBe("string");
  });
});

test("pairs are read from lists and mappings alike", () => {
  expect([...pairsOf(["A=1", "B=x=y", "C", "D="])]).toEqual([
    ["A", "1"],
    ["B", "x=y"],
    ["C", null],
    ["D", ""],
  ]);
  expect([...pairsOf({ A: 1, B: true, C: null })]).toEqual([
    ["A", "1"],
    ["B", "true"],
    ["C", null],
  ]);
});

describe("the name of an image", () => {
  test.for([
    "postgres",
    "postgres:16",
    "library/postgres:16.2-alpine_1",
    "localhost/out",
    "localhost:5000/team/out:v1",
    "registry.example.com/a__b/c--d.e",
    "[::1]:5000/x",
    "EXAMPLE.com/x",
    `x@sha256:${"a".repeat(64)}`,
    `host:1/x:tag@sha256:${"0".repeat(64)}`,
    `sha256:${"f".repeat(64)}`,
    "flowctl:0.1.0",
  ])("can be %s", (text) => {
    expect(imageReferenceMistake(text)).toBeUndefined();
  });

  test.for([
    ["post gres", "it contains a space"],
    ["x:16 ", "it contains a space"],
    ["http://x/y", "it is a URL"],
    ["Postgres:16", "the name has uppercase letters"],
    ["x:", "the tag is empty"],
    ["x:.y", "invalid tag `.y`"],
    ["x:a:b", "invalid tag `a:b`"],
    [`x:${"t".repeat(129)}`, `invalid tag \`${"t".repeat(129)}\``],
    ["x@sha256:12", "invalid digest `sha256:12`"],
    ["x@a@b", "it has more than one `@`"],
    ["", "invalid name ``"],
    ["/x", "invalid name `/x`"],
    ["x/", "invalid name `x/`"],
    ["a..b", "invalid name `a..b`"],
    ["-x", "invalid name `-x`"],
    ["x;rm", "invalid name `x;rm`"],
    ["x".repeat(256), "the name is longer than 255 characters"],
  ] as const)("cannot be %s", ([text, mistake]) => {
    expect(imageReferenceMistake(text)).toBe(mistake);
  });
});
