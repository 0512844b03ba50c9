import type { ApplyOptions } from "../../client/client.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { PipelineSpec } from "../../protocol/records.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import { isForNow } from "./until-left.ts";

/**
 * The error with which the control plane would refuse a plan that is not to be carried out. Asks without changing anything; undefined
 * where the plan would be accepted, or nobody can tell.
 */
export async function refusalOf(
  access: Pick<ControlPlaneAccess, "call">,
  spec: PipelineSpec,
  options: Omit<ApplyOptions, "operation">,
  signal: AbortSignal,
): Promise<FlowctlError | undefined> {
  try {
    await access.call(signal, (client, inner) => client.checkPipeline(spec, inner, options));
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    const isRefusal = error instanceof FlowctlError && error.code.startsWith("registry/");
    return isRefusal && !isForNow(error) ? error : undefined;
  }
}
