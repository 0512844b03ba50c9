import { status } from "@grpc/grpc-js";

/** Begins the names of all pipelines that are made up for a run of a component under test. */
export const testPipelinePrefix = "conformance-";

/**
 * Whether `pipeline` is that of another run: a component that outlived it, because whoever tested it was killed, still
 * looks for its control plane and may find another one at the same port. It has no say in this run. Every other wrong
 * name is the component's own, and for the checks to judge.
 */
export function isStray(pipeline: string, own: string): boolean {
  return pipeline !== own && pipeline.startsWith(testPipelinePrefix);
}

/** What a stray is answered. */
export const strayRefusal = {
  name: "Error",
  message: "this is another run",
  code: status.FAILED_PRECONDITION,
  details: "this is another run",
};
