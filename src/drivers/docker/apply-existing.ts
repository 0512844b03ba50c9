import { hasCode } from "../../foundation/errors.ts";
import type { ApplyContext, Change, ObservedResource } from "../driver.ts";
import { instanceId } from "../identity.ts";
import { inspectContainer, stopContainer, unpauseContainer } from "./container/containers.ts";
import { labelledFiles, makeHostPaths } from "./container/host-files.ts";
import { takeSecrets } from "./container/secrets.ts";
import { startAgain, stopAndStart } from "./container/start-again.ts";
import { takenAway } from "./container/taken-away.ts";
import type { Engine } from "./engine/engine.ts";
import { readLabels } from "./resources/labels.ts";
import { connectToNetwork } from "./resources/networks.ts";

/** What is done to a container that there is, and leaves it there. */
export type ChangeOfExisting = Extract<Change, { readonly action: "start" | "stop" | "restart" }>;

/** Carries it out; see `Driver.apply`. Networks and volumes neither run nor stop. */
export async function applyToExisting(
  engine: Engine,
  change: ChangeOfExisting,
  context: Omit<ApplyContext, "progress">,
): Promise<void> {
  const { signal, force = false } = context;
  const { observed } = change;
  if (observed.kind === "network" || observed.kind === "volume") return;
  switch (change.action) {
    case "start":
      await unpauseContainer(engine, observed.ref, signal);
      await restoreSurroundings(engine, observed, signal);
      return unlessTakenAway(startAgain(engine, observed, context), observed, context);
    case "stop":
      await stop(engine, observed, force, signal);
      if (change.keepSecrets !== true) await takeSecrets(engine, observed, signal);
      return;
    case "restart":
      await unpauseContainer(engine, observed.ref, signal);
      await restoreSurroundings(engine, observed, signal);
      return unlessTakenAway(stopAndStart(engine, observed, context), observed, context);
  }
}

/** Stops a container, also one that is paused. */
export async function stop(
  engine: Engine,
  observed: ObservedResource,
  force: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (observed.state.status === "paused") await unpauseContainer(engine, observed.ref, signal);
  await stopContainer(engine, observed.ref, force, signal);
}

/**
 * A container that was disconnected from a network stays so over every restart, and could do nothing; one that writes a file
 * cannot even start while that is gone.
 */
async function restoreSurroundings(
  engine: Engine,
  { ref, kind, owner, index }: ObservedResource,
  signal: AbortSignal,
): Promise<void> {
  const detail = await inspectContainer(engine, ref, signal);
  const labels = detail?.Config.Labels;
  const wanted = readLabels(labels)?.networks ?? [];
  const aliases = kind === "control-plane" ? ["control-plane"] : [owner, instanceId(owner, index)];
  for (const name of wanted) {
    if (detail?.NetworkSettings.Networks?.[name] !== undefined) continue;
    await connectToNetwork(engine, name, ref, aliases, signal);
  }
  // Where they cannot be made the engine says what is missing.
  await makeHostPaths(engine, { hostFolders: [], hostFiles: labelledFiles(labels) }).catch(() => undefined);
}

async function unlessTakenAway(
  work: Promise<void>,
  observed: ObservedResource,
  { pipeline }: Pick<ApplyContext, "pipeline">,
): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw hasCode(error, "docker/not-found") ? takenAway(observed.name, pipeline, error) : error;
  }
}
