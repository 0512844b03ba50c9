import type { Component } from "../../../pipeline/pipeline.ts";

/** Share of a container's memory that V8's old space may take; the rest is for buffers, stacks and code. */
const HEAP_SHARE = 0.75;

/**
 * `NODE_OPTIONS` that keep a Node program below its container's memory limit, so that it collects garbage instead of
 * being killed. What the file says in `NODE_OPTIONS` comes last and wins. Empty without a limit.
 */
export function memoryNodeOptions(
  component: Pick<Component, "limits" | "environment">,
): { NODE_OPTIONS: string } | Record<string, never> {
  const { memoryBytes } = component.limits;
  if (memoryBytes === undefined) return {};
  const heap = `--max-old-space-size=${Math.max(16, Math.floor((memoryBytes * HEAP_SHARE) / 1024 / 1024))}`;
  const own = component.environment.NODE_OPTIONS;
  return { NODE_OPTIONS: own ? `${heap} ${own}` : heap };
}
