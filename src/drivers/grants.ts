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
