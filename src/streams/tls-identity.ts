import { type ChannelCredentials, credentials, ServerCredentials } from "@grpc/grpc-js";

/** Who an instance is towards its peers on the data plane, each part in PEM. */
export interface TlsIdentity {
  /** The authority whose certificates are trusted, on either side. */
  readonly ca: Buffer;
  /** Its subject alternative names have to cover the address that others dial. */
  readonly certificate: Buffer;
  readonly key: Buffer;
}

/** How streams are served: with an identity, to nobody who cannot show a certificate of the same authority; else in the clear. */
export function serverCredentials(identity: TlsIdentity | undefined): ServerCredentials {
  if (identity === undefined) return ServerCredentials.createInsecure();
  return ServerCredentials.createSsl(
    identity.ca,
    [{ private_key: identity.key, cert_chain: identity.certificate }],
    true,
  );
}

/** How streams are dialled: with an identity, only to who shows a certificate of the same authority; else in the clear. */
export function channelCredentials(identity: TlsIdentity | undefined): ChannelCredentials {
  if (identity === undefined) return credentials.createInsecure();
  return credentials.createSsl(identity.ca, identity.key, identity.certificate);
}
