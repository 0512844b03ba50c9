import type { ServerUnaryCall } from "@grpc/grpc-js";
import { type Peer, peerOf } from "./peer.ts";

/** A call of grpc-js, on the side that serves it. */
export type Authenticated = Pick<ServerUnaryCall<unknown, unknown>, "getAuthContext">;

/** Who calls, by the certificate of the connection; undefined in the clear, and for a certificate without exactly one name. */
export function peerOfCall(call: Authenticated): Peer | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  return certificate === undefined ? undefined : peerOf(certificate);
}
