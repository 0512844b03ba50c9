import { loadBuiltin } from "../components/load-builtin.ts";
import { createLogger } from "../foundation/logger.ts";
import { FlowctlError, run } from "../sdk/index.ts";

/** Runs the built-in that the first argument names, as the component that the environment describes. */
async function main(): Promise<void> {
  const [name = ""] = process.argv.slice(2);
  const type = process.env.FLOWCTL_COMPONENT_TYPE;
  if (type !== "source" && type !== "processor" && type !== "sink") {
    throw new FlowctlError({
      code: "components/no-type",
      kind: "usage",
      message: "FLOWCTL_COMPONENT_TYPE must be source, processor or sink",
      fix: "run built-ins with flowctl, which sets this variable",
    });
  }
  await run(await loadBuiltin(type, name));
}

main().catch((error: unknown) => {
  createLogger({ level: "error" }).error("the component cannot start", { err: error });
  process.exit(1);
});
