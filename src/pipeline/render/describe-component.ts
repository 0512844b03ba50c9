import type { Component } from "../pipeline.ts";

/** What runs a component, in a few words: `http-poll`, `image acme/enrich:1.4`, `build ./enrich`, `node dist/main.js`. */
export function runsWhat(component: Pick<Component, "uses" | "image" | "build" | "command">): string {
  if (component.uses !== undefined) return component.uses;
  if (component.image !== undefined) return `image ${component.image}`;
  if (component.build !== undefined) return `build ${component.build.context}`;
  return (component.command ?? []).join(" ");
}
