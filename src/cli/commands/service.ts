import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { FlowctlError } from "../../foundation/errors.ts";
import { chooseDriver } from "../choose-driver.ts";
import { type Cli, type CommandContext, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import { loadValid } from "../load.ts";
import type { Flags } from "../settings.ts";
import { systemdUnit, unitName } from "../systemd-unit.ts";

interface ServiceFlags extends Flags {
  readonly user?: boolean;
  readonly print?: boolean;
}

/** Settings that say where things are; the unit runs without the caller's environment. */
const KEPT = ["PATH", "HOME", "FLOWCTL_HOME", "FLOWCTL_CONFIG_FILE", "XDG_STATE_HOME", "XDG_CONFIG_HOME"];

const EXIT_CODES = [ExitCode.ok, ExitCode.usage, ExitCode.invalid, ExitCode.notFound, ExitCode.unavailable];

export function serviceCommand(cli: Cli): Command {
  const command = describe({
    usage: "service",
    summary: "Run a pipeline as a systemd service, from boot to shutdown",
    description:
      "Writes a unit that runs `flowctl up -d` at boot and `flowctl stop` at shutdown: a system unit as root, a user unit otherwise. Secret values are not stored in it: variables that the file needs must be in .env or an env_file, and programs that print secrets have to work without a terminal.",
    examples: [
      ["flowctl service install --print", "only show the unit"],
      ["flowctl service install", "write it and show how to start it"],
      ["flowctl service uninstall", "remove it; the pipeline keeps running"],
    ],
  });
  command.addCommand(install(cli)).addCommand(uninstall(cli)).addCommand(status(cli));
  return command;
}

function unitOptions(command: Command): Command {
  return pipelineOptions(command).option("--user", "use the user's service manager (default unless root)");
}

function install(cli: Cli): Command {
  const command = describe({
    usage: "install",
    summary: "Write the systemd unit of the pipeline",
    description: "Refused where systemd is not running. `--print` works everywhere.",
    examples: [["flowctl service install --user", "without root: also needs `loginctl enable-linger`"]],
    exitCodes: EXIT_CODES,
  });
  unitOptions(command).option("--print", "print the unit without writing it");
  return handle<[], ServiceFlags>(cli, command, async (context, _args, flags) => {
    const { output } = context;
    const { path, text, name, isUser } = await unitOf(context, flags);
    if (flags.print) {
      output.print(text.trimEnd());
      return ExitCode.ok;
    }
    if (!context.deps.hasSystemd()) throw noSystemd(name);
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    } catch (error) {
      throw FlowctlError.wrap(error, {
        code: "cli/unit-not-written",
        kind: "denied",
        message: `Cannot write ${path}`,
        fix: "Run it as root, or with --user for a service of your own",
      });
    }
    const systemctl = isUser ? "systemctl --user" : "systemctl";
    output.print(text.trimEnd());
    output.say(`Wrote ${path}; start it with \`${systemctl} daemon-reload && ${systemctl} enable --now ${name}\``);
    if (isUser) output.say("To run it while you are not logged in: `loginctl enable-linger`");
    return ExitCode.ok;
  });
}

function uninstall(cli: Cli): Command {
  const command = describe({
    usage: "uninstall",
    summary: "Remove the systemd unit of the pipeline",
    description: "A running pipeline keeps running: take it down with `flowctl down`.",
    examples: [["flowctl service uninstall", "the unit of the pipeline of this folder"]],
    exitCodes: EXIT_CODES,
  });
  return handle<[], ServiceFlags>(cli, unitOptions(command), async (context, _args, flags) => {
    const { path, name, isUser } = await unitOf(context, flags);
    if (!existsSync(path)) throw notInstalled(path);
    await systemctl(context, isUser, "disable", name);
    await rm(path);
    await systemctl(context, isUser, "daemon-reload");
    context.output.say(`Removed ${path}`);
    return ExitCode.ok;
  });
}

function status(cli: Cli): Command {
  const command = describe({
    usage: "status",
    summary: "Show the state of the pipeline's systemd unit",
    examples: [["flowctl service status --json", "for machines"]],
    exitCodes: EXIT_CODES,
  });
  return handle<[], ServiceFlags>(cli, jsonOption(unitOptions(command)), async (context, _args, flags) => {
    const { output } = context;
    const { path, text, name, isUser } = await unitOf(context, flags);
    if (!existsSync(path)) throw notInstalled(path);
    const isCurrent = (await readFile(path, "utf8")) === text;
    const state = (await systemctl(context, isUser, "is-active", name)) ?? "unknown";
    const enabled = (await systemctl(context, isUser, "is-enabled", name)) ?? "unknown";
    if (output.json) output.printJson({ unit: name, path, isCurrent, state, enabled });
    else {
      output.print(`${name}: ${state}, ${enabled} (${path})`);
      if (!isCurrent) output.warn("it differs from what `flowctl service install` would write");
    }
    return ExitCode.ok;
  });
}

async function unitOf(context: CommandContext, flags: ServiceFlags) {
  const { deps, settings, signal } = context;
  const pipeline = await loadValid(context);
  const { driver } = await chooseDriver(pipeline, settings, deps, signal);
  const isUser = flags.user ?? process.getuid?.() !== 0;
  const { engine } = driver.capabilities;
  const kept = [...KEPT, ...(engine?.variables ?? [])];
  const environment = Object.fromEntries(
    kept.flatMap((key) =>
      deps.env[key] === undefined || deps.env[key] === "" ? [] : [[key, deps.env[key] as string]],
    ),
  );
  const text = systemdUnit({
    pipeline: pipeline.name,
    flowctl: [process.execPath, "--", join(deps.packageRoot, "dist", "flowctl.js")],
    files: pipeline.files,
    folder: pipeline.directory,
    driver: driver.name,
    engineUnit: engine?.unit,
    envFile: settings.envFile === undefined ? undefined : resolve(deps.cwd, settings.envFile),
    profiles: settings.profiles,
    environment,
    isUser,
  });
  const name = unitName(pipeline.name);
  const config = deps.env.XDG_CONFIG_HOME || join(deps.env.HOME || homedir(), ".config");
  return { text, name, isUser, path: join(isUser ? join(config, "systemd/user") : "/etc/systemd/system", name) };
}

/** What systemd says in one word; undefined where it does not run. */
function systemctl(context: CommandContext, isUser: boolean, ...args: readonly string[]): Promise<string | undefined> {
  if (!context.deps.hasSystemd()) return Promise.resolve(undefined);
  return new Promise((done) => {
    const env = { ...context.deps.env };
    execFile("systemctl", [...(isUser ? ["--user"] : []), ...args], { env }, (error, stdout) => {
      // It answers also where it ends with another code than 0, as for a unit that is inactive.
      const said = stdout.trim();
      done(said === "" && error !== null ? undefined : said);
    });
  });
}

function noSystemd(unit: string): FlowctlError {
  return new FlowctlError({
    code: "cli/no-systemd",
    kind: "unavailable",
    message: "This machine does not run systemd (there is no /run/systemd/system), so nothing would start the unit",
    fix: `Have the service manager of this machine run \`flowctl up -d\` in this folder; for another machine, \`flowctl service install --print > ${unit}\` writes the unit`,
  });
}

function notInstalled(path: string): FlowctlError {
  return new FlowctlError({
    code: "cli/no-unit",
    kind: "not-found",
    message: `Unit ${path} does not exist`,
    fix: "Create it with `flowctl service install`",
  });
}
