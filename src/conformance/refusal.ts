import { Metadata } from "@grpc/grpc-js";

/** How a call is refused. */
export interface Refusal {
  readonly status: number;
  /** For the trailer `flowctl-code`. */
  readonly code: string;
  readonly message: string;
}

/** The same as grpc-js wants it. */
export function refused({ status: grpcStatus, code, message }: Refusal) {
  const metadata = new Metadata();
  metadata.set("flowctl-code", code);
  return { name: "Error", message, code: grpcStatus, details: message, metadata };
}
