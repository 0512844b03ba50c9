import type { DriverName } from "../pipeline/pipeline.ts";

/** What a unit says of one pipeline. All paths are absolute. */
export interface ServiceUnit {
  readonly pipeline: string;
  /** argv of flowctl. */
  readonly flowctl: readonly string[];
  /** The pipeline's files, the first one first. */
  readonly files: readonly string[];
  readonly folder: string;
  readonly driver: DriverName;
  /** The unit of the engine that the pipeline runs on, where there is one. */
  readonly engineUnit?: string | undefined;
  /** Absolute path of the file that stands for `.env`, where one does. */
  readonly envFile?: string | undefined;
  readonly profiles: readonly string[];
  /** For the environment of the unit: settings that say where flowctl keeps things. */
  readonly environment: Readonly<Record<string, string>>;
  /** Whether it is a unit of the user's own service manager. */
  readonly isUser: boolean;
}

/** The name of the unit of a pipeline. */
export function unitName(pipeline: string): string {
  return `flowctl-${pipeline}.service`;
}

/**
 * A systemd unit that has a pipeline up from boot to shutdown. It runs `flowctl up -d` and counts as active from then on:
 * what runs is watched by flowctl's own supervisor, or by the engine. Stopping the unit drains the pipeline by
 * `flowctl stop`, from the sources down; systemd then ends the supervisor.
 */
export function systemdUnit(unit: ServiceUnit): string {
  const command = (...args: readonly string[]): string => [...unit.flowctl, ...args].map(quoted).join(" ");
  const files = unit.files.flatMap((file) => ["-f", file]);
  const envFile = unit.envFile === undefined ? [] : ["--env-file", unit.envFile];
  const profiles = unit.profiles.flatMap((profile) => ["--profile", profile]);
  const common = [...files, ...envFile, ...profiles, "--driver", unit.driver];
  // A user's service manager does not know the units of the system.
  const engine = unit.isUser ? undefined : unit.engineUnit;
  const lines = [
    "[Unit]",
    `Description=flowctl pipeline ${escaped(unit.pipeline)}`,
    ...(unit.isUser ? [] : ["Wants=network-online.target", "After=network-online.target"]),
    ...(engine === undefined ? [] : [`Requires=${engine}`, `After=${engine}`]),
    "",
    "[Service]",
    "Type=oneshot",
    "RemainAfterExit=yes",
    `WorkingDirectory=${pathValue(unit.folder)}`,
    ...Object.entries(unit.environment).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`),
    `ExecStart=${command("up", "-d", "-p", unit.pipeline, ...common)}`,
    `ExecStop=${command("stop", "-p", unit.pipeline, ...common)}`,
    "TimeoutStartSec=infinity",
    "TimeoutStopSec=120",
    "",
    "[Install]",
    `WantedBy=${unit.isUser ? "default.target" : "multi-user.target"}`,
    "",
  ];
  return lines.join("\n");
}

/** A word of a command line: `%` and `$` stand for themselves. */
function quoted(word: string): string {
  const plain = escaped(word).replaceAll("$", "$$$$");
  return /^[\w@%+=:,./$-]+$/.test(plain) ? plain : `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** A path as the whole of a value: it is not taken apart at blanks, and quotes would be part of it. */
function pathValue(path: string): string {
  return escaped(path);
}

/** Without specifiers. */
function escaped(text: string): string {
  return text.replaceAll("%", "%%");
}
