import fc from "fast-check";
import { expect, it } from "vitest";
import { isLocalHost } from "./local-host.ts";

it.each([
  undefined,
  "localhost",
  "LocalHost:8081",
  "localhost.:8081",
  "127.0.0.1",
  "127.0.0.1:32768",
  "192.168.1.7:8081",
  "[::1]:8081",
  "[fe80::1]",
  "control-plane:8081",
  "flowctl_quakes_control-plane:8081",
  "flowctl.localhost:8081",
  "host.docker.internal:8081",
])("takes %s", (host) => {
  expect(isLocalHost(host)).toBe(true);
});

it.each([
  "",
  "evil.example",
  "evil.example:8081",
  "127.0.0.1.evil.example",
  "localhost.evil.example:8081",
  "evil.example.:8081",
  "internal.evil.example",
  "[::1].evil.example",
  "[evil.example]:8081",
  "127.0.0.1:8081, evil.example",
  "localhost@evil.example",
  "evil.example#.localhost",
  "локальный",
  "localhost:99999999",
])("refuses %j", (host) => {
  expect(isLocalHost(host)).toBe(false);
});

it("refuses every name in a public domain, and never throws", () => {
  fc.assert(fc.property(fc.domain(), fc.nat(65_535), (name, port) => !isLocalHost(`${name}:${port}`)));
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => typeof isLocalHost(text) === "boolean"));
});
