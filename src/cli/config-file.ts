import { parse } from "yaml";
import * as z from "zod";
import { FlowctlError } from "../foundation/errors.ts";
import { DRIVERS, LOG_LEVELS, METRICS_ACCESS, PROGRESS_MODES } from "./choices.ts";

const configFile = z.strictObject({
  driver: z.enum(DRIVERS).optional(),
  profiles: z.array(z.string()).optional(),
  log_level: z.enum(LOG_LEVELS).optional(),
  persistence: z.enum(["leveldb", "memory"]).optional(),
  metrics: z.enum(METRICS_ACCESS).optional(),
  progress: z.enum(PROGRESS_MODES).optional(),
  quiet: z.boolean().optional(),
});

/** What the config file may hold. */
export type ConfigFile = z.infer<typeof configFile>;

/** Reads the text of a config file. Throws `cli/config-file` (kind invalid) naming the wrong key. */
export function parseConfigFile(text: string, path: string): ConfigFile {
  let document: unknown;
  try {
    document = parse(text) ?? {};
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "cli/config-file",
      kind: "invalid",
      message: `${path} is not YAML`,
      fix: `Fix its YAML, or remove it: \`rm ${path}\``,
    });
  }
  const checked = configFile.safeParse(document);
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0];
  const at = issue?.path.join(".") ?? "";
  throw new FlowctlError({
    code: "cli/config-file",
    kind: "invalid",
    message: `${path}: ${issue?.message ?? "not valid"}`,
    fix: `The keys are ${Object.keys(configFile.shape).join(", ")}`,
    ...(at === "" ? {} : { path: at }),
  });
}
