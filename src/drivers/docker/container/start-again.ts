import { FlowctlError } from "../../../foundation/errors.ts";
import type { ApplyContext, ObservedResource } from "../../driver.ts";
import { instanceId } from "../../identity.ts";
import type { Engine } from "../engine/engine.ts";
import { containerState } from "../observe.ts";
import {
  type ContainerDetail,
  inspectContainer,
  restartContainer,
  startContainer,
  stopContainer,
} from "./containers.ts";
import { authorityOf, deliverJoining, joinsPipeline } from "./deliver-joining.ts";
import { provideSecrets } from "./secrets.ts";

/** Which container it is, and whose. */
type Startable = Pick<ObservedResource, "ref" | "kind" | "owner" | "index" | "name">;

/**
 * Starts a container that was made and has run before, with its secrets and a joining certificate of its own: the one that it was last
 * started with is spent, or somebody else may have used it. One that runs is left alone.
 */
export async function startAgain(
  engine: Engine,
  observed: Startable,
  context: Omit<ApplyContext, "progress">,
): Promise<void> {
  const { pipeline, signal } = context;
  const detail = await inspectContainer(engine, observed.ref, signal);
  refuseHalfMade(observed, detail, pipeline);
  await provideSecrets(engine, observed, context);
  if (detail?.State.Running === false && joinsPipeline(detail)) {
    await deliverJoining(engine, detail.Id, joiner(observed), await authorityOf(engine, pipeline, signal), signal);
  }
  await startContainer(engine, observed.ref, signal);
}

/** The same for one that may run: it is stopped first, within its grace period or at once. */
export async function stopAndStart(
  engine: Engine,
  observed: Startable,
  context: Omit<ApplyContext, "progress">,
): Promise<void> {
  const { pipeline, signal, force = false } = context;
  const detail = await inspectContainer(engine, observed.ref, signal);
  refuseHalfMade(observed, detail, pipeline);
  await provideSecrets(engine, observed, context);
  if (detail === undefined || !joinsPipeline(detail)) return restartContainer(engine, observed.ref, force, signal);
  // Nothing is stopped that could not be started again.
  const authority = await authorityOf(engine, pipeline, signal);
  await stopContainer(engine, detail.Id, force, signal);
  await deliverJoining(engine, detail.Id, joiner(observed), authority, signal);
  await startContainer(engine, detail.Id, signal);
}

function joiner({ owner, index }: Startable): { readonly component: string; readonly instance: string } {
  return { component: owner, instance: instanceId(owner, index) };
}

/** What was made and never started has not all its files, as far as anybody knows. */
function refuseHalfMade({ name }: Startable, detail: ContainerDetail | undefined, pipeline: string): void {
  if (detail === undefined || containerState(detail).status !== "created") return;
  throw new FlowctlError({
    code: "docker/half-made",
    kind: "conflict",
    message: `${name} was never started: the command that made it was interrupted, and may not have given it its files`,
    fix: `Run \`flowctl up -d -p ${pipeline}\`, which makes it anew`,
  });
}
