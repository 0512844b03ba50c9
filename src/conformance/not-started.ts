import { FlowctlError, messageOf } from "../foundation/errors.ts";
import type { LaunchedComponent, ProgramExit } from "./launch.ts";

/** How a run of the component ended before it had called the control plane at all. */
export interface EarlyEnd {
  readonly exit: ProgramExit;
  readonly component: Pick<LaunchedComponent, "ran" | "startFailure" | "startFixes" | "output">;
}

/** Whether it was not started at all, so that another try would end the same way. */
export function isNeverStarted({ exit, component }: EarlyEnd): boolean {
  return component.startFailure !== undefined || startFixOf({ exit, component }) !== undefined;
}

function startFixOf({ exit, component }: EarlyEnd): string | undefined {
  return exit.code === null ? undefined : component.startFixes?.get(exit.code);
}

/** Lines of output that are shown. */
const SHOWN_LINES = 10;

/**
 * The error of a component that nothing can be said about: it could not be started (`conformance/cannot-start`), or ended before it called
 * the control plane (`conformance/ended-early`).
 */
export function notStarted({ exit, component }: EarlyEnd): FlowctlError {
  const { ran, startFailure } = component;
  if (startFailure !== undefined) {
    return new FlowctlError({
      code: "conformance/cannot-start",
      kind: "usage",
      message: `${ran} cannot be started: ${whyNot(startFailure)}`,
      fix: fixFor(startFailure),
      cause: startFailure,
    });
  }
  const lines = component.output().slice(-SHOWN_LINES);
  const said =
    lines.length === 0 ? " and wrote nothing" : `. It wrote:\n${lines.map((line) => `  │ ${line}`).join("\n")}`;
  const startFix = startFixOf({ exit, component });
  if (startFix !== undefined) {
    return new FlowctlError({
      code: "conformance/cannot-start",
      kind: "usage",
      message: `${ran} cannot be started: docker ended with code ${exit.code}${said}`,
      fix: startFix,
    });
  }
  const how = exit.signal === null ? `exited with code ${exit.code}` : `was ended by ${exit.signal}`;
  return new FlowctlError({
    code: "conformance/ended-early",
    kind: "failed",
    message: `${ran} ${how} before it called the control plane, so nothing was checked${said}`,
    fix: "Make it start with the environment of the component contract and call RegisterComponent; give it the settings it needs with --config",
  });
}

function whyNot(failure: NodeJS.ErrnoException): string {
  const program = failure.path ?? "the program";
  if (failure.code === "ENOENT") return `there is no program ${program}`;
  if (failure.code === "EACCES") return `${program} is not executable`;
  return messageOf(failure);
}

function fixFor({ code, path = "PROGRAM" }: NodeJS.ErrnoException): string {
  if (path === "docker") return "Install the docker command line: --image needs it";
  if (code === "EACCES") return `Run \`chmod +x ${path}\`, or name the program that runs it, as in \`-- node ${path}\``;
  return "Name a program that is in PATH, or its path, after `--`; for a script, the program that its first line names has to exist, too";
}
