import type { ApplyOptions } from "../../client/client.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { PipelineSpec } from "../../protocol/records.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";

/**
 * Says in a plan that is not to be carried out why the control plane would refuse it. Asks without changing anything; says
 * nothing where the plan would be accepted, or nobody can tell.
 */
export async function refusalNotes(
  access: Pick<ControlPlaneAccess, "call">,
  spec: PipelineSpec,
  options: Omit<ApplyOptions, "operation">,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    await access.call(signal, (client, inner) => client.checkPipeline(spec, inner, options));
    return [];
  } catch (error) {
    signal.throwIfAborted();
    const isRefusal = error instanceof FlowctlError && error.code.startsWith("registry/");
    // What is still leaving is waited for.
    if (!isRefusal || error.code === "registry/still-leaving") return [];
    const fix = error.fix === undefined ? "" : ` ${error.fix}`;
    return [`As it is now, this is refused (${error.code}): ${error.message}.${fix}`];
  }
}
