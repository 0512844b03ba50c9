import type { Component } from "../pipeline.ts";

/** What is drawn of a component; what runs it is left out where nobody knows. */
export interface DrawnComponent
  extends Pick<Component, "id" | "type" | "replicas" | "uses" | "image" | "build" | "command"> {
  readonly inputs: readonly { readonly from: string; readonly types: readonly string[] }[];
  readonly onError: { readonly to?: string };
}

/** What runs a component, in a few words: `http-poll`, `image acme/enrich:1.4`, `build ./enrich`, `node dist/main.js`. */
export function runsWhat(component: Pick<Component, "uses" | "image" | "build" | "command">): string {
  if (component.uses !== undefined) return component.uses;
  if (component.image !== undefined) return `image ${component.image}`;
  if (component.build !== undefined) return `build ${component.build.context}`;
  return (component.command ?? []).join(" ");
}
