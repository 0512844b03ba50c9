import { posix } from "node:path";
import { pack } from "tar-stream";
import type { Pipeline } from "../../../pipeline/pipeline.ts";
import type { ApplyContext, ObservedResource, ResourceKind } from "../../driver.ts";
import { type Grant, grantsOf, hasSecretValues, secretsRemoved } from "../../grants.ts";
import { instanceId } from "../../identity.ts";
import type { Engine } from "../engine/engine.ts";
import { readLabels } from "../resources/labels.ts";
import { inspectContainer, putArchive, statInContainer, unlessGone } from "./containers.ts";
import { deliverSecrets } from "./deliver-files.ts";
import { serviceFiles } from "./service-container.ts";

/** What was stopped has its secrets removed, and gets them before it is started again. One that runs is left alone. */
export async function provideSecrets(
  engine: Engine,
  { ref, kind, owner, index }: Pick<ObservedResource, "ref" | "kind" | "owner" | "index">,
  context: Omit<ApplyContext, "progress">,
): Promise<void> {
  const { deployment, pipeline, signal } = context;
  const detail = await inspectContainer(engine, ref, signal);
  const paths = readLabels(detail?.Config.Labels)?.secrets ?? [];
  if (detail === undefined || paths.length === 0 || detail.State.Running) return;
  const files = deployment && filesOf(deployment.pipeline, kind, owner);
  if (files !== undefined && hasSecretValues({ secrets: files.filter(isSecret) }, deployment)) {
    return deliverSecrets(engine, detail, files, context);
  }
  if (await hasSecretsRemoved(engine, ref, paths, signal)) throw secretsRemoved(instanceId(owner, index), pipeline);
}

function filesOf({ components, services }: Pipeline, kind: ResourceKind, owner: string): readonly Grant[] | undefined {
  if (kind === "component") {
    const component = components.find(({ id }) => id === owner);
    return component && grantsOf(component);
  }
  const service = services.find(({ id }) => id === owner);
  return service && serviceFiles(service);
}

export const isSecret = ({ kind }: Grant): boolean => kind === "secret";

/** Removes the secrets of a container that was stopped. It may be gone by now, and its secrets with it. */
export async function takeSecrets(
  engine: Engine,
  { ref }: Pick<ObservedResource, "ref">,
  signal: AbortSignal,
): Promise<void> {
  const detail = await inspectContainer(engine, ref, signal);
  const paths = readLabels(detail?.Config.Labels)?.secrets ?? [];
  if (paths.length > 0 && detail?.State.Running === false)
    await unlessGone(engine, ref, signal, removeSecrets(engine, ref, paths, signal));
}

/** The mode of a file whose secret was removed: nobody may read it, and no file that holds one has it. */
const REMOVED = 0o100;

/** Writes empty files, which nobody may read, over the secrets of a container that does not run; the engine cannot remove them. */
async function removeSecrets(engine: Engine, id: string, paths: readonly string[], signal: AbortSignal): Promise<void> {
  for (const folder of new Set(paths.map((path) => posix.dirname(path)))) {
    const archive = pack();
    for (const path of paths.filter((path) => posix.dirname(path) === folder)) {
      archive.entry({ name: posix.basename(path), mode: REMOVED, uid: 0, gid: 0 }, "");
    }
    archive.finalize();
    await putArchive(engine, id, folder, archive, signal);
  }
}

/** Whether secrets were removed from a container. */
export async function hasSecretsRemoved(
  engine: Engine,
  id: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const files = await Promise.all(paths.map((path) => statInContainer(engine, id, path, signal)));
  return files.some((file) => file === undefined || file.mode === REMOVED);
}
