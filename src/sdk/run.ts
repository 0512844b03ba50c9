import type { ComponentDefinition } from "./component.ts";

/**
 * Runs a component as this program: reads the environment, registers, serves health and streams, processes until the
 * data ends or SIGTERM comes, and exits the process (0 when it completed or was stopped, 1 when it failed).
 */
export async function run(_component: ComponentDefinition): Promise<never> {
  throw new Error("being written");
}
