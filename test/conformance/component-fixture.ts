import { fileURLToPath } from "node:url";
import { type Launch, launchCommand, type ProgramExit } from "../../src/conformance/launch.ts";

/** What a component may be; see fixtures/component.mjs. */
export type Type = "source" | "processor" | "sink";

interface Host {
  readonly env: Readonly<Record<string, string>>;
  error(text: string): void;
  exit(code: number, close: () => void): void;
}

interface Fixture {
  needsProcess(defect: string): boolean;
  runComponent(
    type: Type,
    defect: string,
    host: Host,
  ): { readonly begun: Promise<void>; terminate(): void; kill(): void };
}

const path = fileURLToPath(new URL("fixtures/component.mjs", import.meta.url));
const { needsProcess, runComponent } = (await import(path)) as Fixture;

/** Launches the fixture in a process of its own. */
export function launchFixture(type: Type, defect = ""): Launch {
  return launchCommand([process.execPath, path, type, defect], { environment: process.env });
}

/**
 * Launches the fixture within this process, unless its defect needs one of its own: all that goes over the wire is the same,
 * at a tenth of the cost.
 */
export function launchFixtureHere(type: Type, defect = ""): Launch {
  if (needsProcess(defect)) return launchFixture(type, defect);
  return (env) => {
    const output: string[] = [];
    const listeners: (() => void)[] = [];
    let exit: ProgramExit | undefined;
    const ended = (how: ProgramExit): void => {
      if (exit !== undefined) return;
      exit = how;
      for (const listener of listeners) listener();
    };
    const component = runComponent(type, defect, {
      env,
      error: (text) => output.push(text),
      exit: (code, close) => {
        close();
        ended({ code, signal: null });
      },
    });
    component.begun.catch((error: unknown) => {
      output.push(String(error));
      component.kill();
      ended({ code: 1, signal: null });
    });
    return {
      ran: "the fixture",
      exit: () => exit,
      onExit: (listener) => {
        if (exit === undefined) listeners.push(listener);
        else listener();
      },
      output: () => output,
      errorOutput: () => output,
      terminate: () => {
        if (exit === undefined) component.terminate();
      },
      kill: async () => {
        component.kill();
        ended({ code: null, signal: "SIGKILL" });
      },
    };
  };
}
