import { FlowctlError } from "../foundation/errors.ts";
import type { ContainerSettings, FileGrant } from "../pipeline/pipeline.ts";
import type { Deployment } from "./driver.ts";

/** A secret or config that a component or service is given as a file. */
export type Grant = FileGrant & { readonly kind: "secret" | "config" };

/** Values of what is granted. */
export type GrantedValues = Pick<Deployment, "secretValues" | "configValues">;

/** Its secrets, then its configs. */
export function grantsOf({ secrets, configs }: Pick<ContainerSettings, "secrets" | "configs">): readonly Grant[] {
  return [
    ...secrets.map((grant) => ({ kind: "secret" as const, ...grant })),
    ...configs.map((grant) => ({ kind: "config" as const, ...grant })),
  ];
}

/** Whether there is a value for every secret that it is granted. */
export function hasSecretValues(
  { secrets }: { readonly secrets: readonly Pick<Grant, "source">[] },
  values: GrantedValues | undefined,
): boolean {
  return secrets.every(({ source }) => values?.secretValues.has(source) ?? false);
}

/** The error of what was stopped, and is to be started without the values of its secrets. */
export function secretsRemoved(instance: string, pipeline: string): FlowctlError {
  return new FlowctlError({
    code: "driver/secrets-removed",
    kind: "conflict",
    message: `Cannot start ${instance}: its secrets were removed when it was stopped`,
    fix: `Start it with \`flowctl start -p ${pipeline} ${instance}\` or \`flowctl up -d\`, which read them again`,
  });
}

/** What the file is to hold. Throws `driver/value-missing` where the driver was not given it. */
export function grantedValue({ kind, source }: Grant, values: GrantedValues | undefined): Uint8Array {
  const value = (kind === "secret" ? values?.secretValues : values?.configValues)?.get(source);
  if (value !== undefined) return value;
  throw new FlowctlError({
    code: "driver/value-missing",
    kind: "internal",
    message: `The value of the ${kind} ${JSON.stringify(source)} was not passed to the driver`,
  });
}
