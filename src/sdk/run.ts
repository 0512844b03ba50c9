import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../foundation/clock.ts";
import { causesOf, FlowctlError, messageOf } from "../foundation/errors.ts";
import { createLogger } from "../foundation/logger.ts";
import type { ComponentDefinition } from "./component.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { runComponent } from "./run-component.ts";

/**
 * Runs a component as this program: reads the environment, registers, serves health and streams, processes until the
 * data ends or SIGTERM comes, and exits the process: 0 when it completed or was stopped, 1 when it failed, with the
 * reason as the last line on standard error. A second SIGTERM or SIGINT ends it at once.
 */
export async function run(component: ComponentDefinition): Promise<never> {
  const log = createLogger({ level: "info" });
  let environment: Environment;
  let config: unknown;
  try {
    environment = readEnvironment(process.env);
    config = parseConfig(component, environment.config);
  } catch (error) {
    log.error(...lastLine(error));
    process.exit(1);
  }
  const stop = new AbortController();
  const componentLog = createLogger({ level: environment.logLevel, name: environment.instance.instanceId });
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) {
      componentLog.error("second stop signal: exiting immediately", { code: "sdk/ended", signal });
      process.exit(1);
    }
    stop.abort();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  // What an author's timer or forgotten promise throws ends the component too, with the reason as its last line.
  process.on("uncaughtException", (error) => {
    componentLog.error(...lastLine(error));
    process.exit(1);
  });
  try {
    const outcome = await runComponent(component, {
      environment,
      config,
      clock: systemClock,
      log: componentLog,
      stop: stop.signal,
      secret: (name) => readSecret(environment.secretsDirectory, name),
    });
    componentLog.info(outcome === "completed" ? "completed" : "stopped");
    process.exit(0);
  } catch (error) {
    componentLog.error(...lastLine(error));
    process.exit(1);
  }
}

/** Checks `with` by the author's schema. Throws `sdk/config` naming every wrong value, `sdk/definition` if it is no schema. */
function parseConfig({ type, definition }: ComponentDefinition, config: unknown): unknown {
  const schema = definition.config;
  if (schema === undefined) {
    const settings = Object.keys(typeof config === "object" && config !== null ? config : {});
    if (settings.length === 0) return {};
    throw wrongConfig(settings.map((key) => `with.${key}: this ${type} has no settings`));
  }
  // Programs in plain JavaScript are not checked by a compiler.
  if (typeof schema.safeParse !== "function") {
    throw new FlowctlError({
      code: "sdk/definition",
      kind: "invalid",
      message: `the config of ${definition.name} is not a schema`,
      fix: "use a zod schema, such as z.strictObject({ … }), or omit it",
    });
  }
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  throw wrongConfig(result.error.issues.map((issue) => `${["with", ...issue.path].join(".")}: ${issue.message}`));
}

function wrongConfig(problems: readonly string[]): FlowctlError {
  return new FlowctlError({
    code: "sdk/config",
    kind: "invalid",
    message: problems.join("; "),
    fix: "fix with: of the component in the pipeline file",
  });
}

async function readSecret(directory: string, name: string): Promise<string> {
  if (!/^[\w.-]+$/.test(name) || name.startsWith(".")) {
    throw new FlowctlError({
      code: "sdk/secret-missing",
      kind: "not-found",
      message: `invalid secret name ${JSON.stringify(name)}`,
    });
  }
  try {
    return (await readFile(join(directory, name), "utf8")).replace(/\r?\n$/, "");
  } catch (error) {
    throw new FlowctlError({
      code: "sdk/secret-missing",
      kind: "not-found",
      message: `secret ${name} is not granted to this component`,
      fix: `add ${name} to secrets of the component in the pipeline file`,
      cause: error,
    });
  }
}

function lastLine(error: unknown): [string, Record<string, unknown>] {
  if (error instanceof FlowctlError) {
    return [error.message, { code: error.code, ...(error.fix === undefined ? {} : { fix: error.fix }) }];
  }
  const stack = error instanceof Error ? error.stack : undefined;
  return [withCauses(error), { code: "sdk/component-failed", ...(stack === undefined ? {} : { stack }) }];
}

/** What was thrown says, and what caused it: `fetch failed` alone tells nobody what to do. */
function withCauses(error: unknown): string {
  const texts: string[] = [];
  for (const text of causesOf(error).map(messageOf)) {
    if (!texts.some((said) => said.includes(text))) texts.push(text);
  }
  return texts.join(": ");
}
