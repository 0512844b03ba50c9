import { posix } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";
import { sectionOf } from "../../../pipeline/resolve/resolved.ts";
import type { ApplyContext, DesiredResource } from "../../driver.ts";
import type { Engine } from "../engine/engine.ts";
import type { ContainerSpec } from "./container-spec.ts";
import { type FileFacts, inspectContainer, statInContainer } from "./containers.ts";

/** Code of the error of `requireProgram`. */
export const NO_SUCH_PROGRAM = "docker/no-such-program";

/** Where the engine looks for programs when the image does not say. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Looks whether the program that a component's container is to run is in it, before it is started: the engine starts only
 * the init process, which finds out too late and ends with a code that looks like a crash. Throws
 * NO_SUCH_PROGRAM (kind invalid), with where in the pipeline file it is named.
 */
export async function requireProgram(
  engine: Engine,
  id: string,
  spec: ContainerSpec,
  resource: DesiredResource,
  { deployment, signal }: Pick<ApplyContext, "deployment" | "signal">,
): Promise<void> {
  const component = deployment?.pipeline.components.find((one) => one.id === resource.owner);
  if (resource.kind !== "component" || component === undefined || component.uses !== undefined) return;
  const detail = await inspectContainer(engine, id, signal);
  const program = detail?.Path ?? "";
  if (detail === undefined || program === "") return;
  const candidates = whereToLook(program, detail.Config.Env, detail.Config.WorkingDir);
  const found = await Promise.all(candidates.map((path) => statInContainer(engine, id, path, signal)));
  if (found.some(isProgram)) return;
  const there = candidates.find((_, index) => found[index] !== undefined);
  // The image's own command or entrypoint is at fault where the file names none.
  const key = spec.body.Entrypoint?.[0] ? "entrypoint" : spec.body.Cmd !== undefined ? "command" : "image";
  throw new FlowctlError({
    code: NO_SUCH_PROGRAM,
    kind: "invalid",
    message:
      there === undefined
        ? `\`${program}\` of ${component.id} does not exist in the image ${spec.image}`
        : `\`${program}\` of ${component.id} is not executable: ${there} in the image ${spec.image}`,
    fix:
      there === undefined
        ? `Use a program from the image in \`command\` or \`entrypoint\`${program.includes("/") ? "" : `; searched ${candidates.map((path) => posix.dirname(path)).join(", ")}`}`
        : `Make it executable in the Dockerfile (\`RUN chmod +x ${there}\`), or run it with an interpreter, such as \`command: [node, ${there}]\``,
    path: `${sectionOf(component.type)}.${component.id}.${key}`,
  });
}

function whereToLook(program: string, environment: readonly string[], directory: string): readonly string[] {
  if (program.includes("/")) return [posix.resolve("/", directory, program)];
  const path = environment.find((variable) => variable.startsWith("PATH="))?.slice("PATH=".length) || DEFAULT_PATH;
  return [...new Set(path.split(":").map((folder) => posix.resolve("/", directory, folder, program)))];
}

/** A link counts as what it points to, which is not looked at. */
function isProgram(file: FileFacts | undefined): boolean {
  return file !== undefined && !file.folder && (file.link || (file.mode & 0o111) !== 0);
}
