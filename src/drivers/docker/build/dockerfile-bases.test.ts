import { describe, expect, it } from "vitest";
import { baseImages } from "./dockerfile-bases.ts";

describe("the base images of a Dockerfile", () => {
  it.each([
    ["one", "FROM node:22", ["node:22"]],
    ["with a platform and a stage name", "from --platform=linux/amd64 ghcr.io/a/b:1 AS build", ["ghcr.io/a/b:1"]],
    ["without stages of its own and scratch", "FROM a AS one\nFROM one\nFROM scratch\nFROM b", ["a", "b"]],
    ["each once", "FROM a\nFROM a", ["a"]],
    ["with arguments", "ARG TAG=1\nFROM a:${TAG}\nFROM b:$TAG", ["a:1", "b:1"]],
    ["with a default in place", "FROM a:${NONE:-2}", ["a:2"]],
    ["with a quoted argument", 'ARG BASE="x:1"\nFROM ${BASE}', ["x:1"]],
    ["not with arguments that are unknown", "ARG BASE\nFROM ${BASE}", []],
    ["not with arguments of a stage", "FROM a\nARG TAG=1\nFROM b:$TAG", ["a"]],
    ["on lines that go on", "FROM \\\n  a", ["a"]],
  ])("%s", (_, dockerfile, expected) => expect(baseImages(dockerfile, {})).toEqual(expected));

  it("take build arguments over defaults", () => {
    expect(baseImages("ARG BASE=a\nFROM ${BASE}", { BASE: "b" })).toEqual(["b"]);
  });
});
