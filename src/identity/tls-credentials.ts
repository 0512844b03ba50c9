import { constants } from "node:crypto";
import type { Socket } from "node:net";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { ChannelCredentials, type ChannelOptions, credentials, ServerCredentials } from "@grpc/grpc-js";
import { hostNameOf, type Name } from "./names.ts";
import { whyNotMeant } from "./peer.ts";
import type { IdentitySource, TlsIdentity } from "./tls-identity.ts";

/**
 * How gRPC is served: with an identity, by TLS 1.3 and to nobody who cannot show a certificate of the same authority; else in the clear. After
 * a change of the identity open connections stay as they are.
 */
export function serverCredentials(identity: IdentitySource | undefined): ServerCredentials {
  return identity === undefined ? ServerCredentials.createInsecure() : new IdentityServerCredentials(identity);
}

/**
 * How gRPC is dialled: with an identity, only to whom is meant; else in the clear. After a change of the identity open connections stay as
 * they are, and those that are made from then on use the new one.
 */
export function channelCredentials(identity: IdentitySource | undefined, meant: Name): ChannelCredentials {
  return identity === undefined ? credentials.createInsecure() : new IdentityChannelCredentials(identity, meant);
}

/** What a channel with such credentials has to be told as well. */
export function channelIdentityOptions(identity: IdentitySource | undefined, meant: Name): ChannelOptions {
  const host = hostNameOf(meant);
  // Of the address itself, which has no part in it, Node.js would warn when it is a number.
  return identity === undefined || host === undefined ? {} : { "grpc.ssl_target_name_override": host };
}

/** How long either side waits for the certificate of the other, in milliseconds. */
const HANDSHAKE_MS = 20_000;

class IdentityServerCredentials extends ServerCredentials {
  readonly #identity: IdentitySource;
  #forget: (() => void) | undefined;

  constructor(identity: IdentitySource) {
    // Whoever connects and says nothing is not kept for the two minutes that Node.js gives them.
    super(
      { requestCert: true, rejectUnauthorized: true, handshakeTimeout: HANDSHAKE_MS },
      serverContext(identity.current()),
    );
    this.#identity = identity;
  }

  override _addWatcher(watcher: Parameters<ServerCredentials["_addWatcher"]>[0]): void {
    super._addWatcher(watcher);
    this.#forget ??= this.#identity.onChange(() =>
      this.updateSecureContextOptions(serverContext(this.#identity.current())),
    );
  }

  override _removeWatcher(watcher: Parameters<ServerCredentials["_removeWatcher"]>[0]): void {
    super._removeWatcher(watcher);
    if (this.getWatcherCount() > 0) return;
    this.#forget?.();
    this.#forget = undefined;
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

class IdentityChannelCredentials extends ChannelCredentials {
  readonly #identity: IdentitySource;
  readonly #meant: Name;

  constructor(identity: IdentitySource, meant: Name) {
    super();
    this.#identity = identity;
    this.#meant = meant;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(...args: Parameters<ChannelCredentials["_createSecureConnector"]>): SecureConnector {
    const now = (): SecureConnector => this.#now()._createSecureConnector(...args);
    const first = now();
    const handshakes = new Set<Socket>();
    return {
      async connect(socket) {
        handshakes.add(socket);
        try {
          return await shaken(socket, now());
        } finally {
          handshakes.delete(socket);
        }
      },
      waitForReady: () => first.waitForReady(),
      getCallCredentials: () => first.getCallCredentials(),
      destroy() {
        for (const socket of handshakes) socket.destroy();
        first.destroy();
      },
    };
  }

  #now(): ChannelCredentials {
    return credentials.createFromSecureContext(secureContextOf(this.#identity.current()), {
      checkServerIdentity: (_host, certificate) => whyNotMeant(this.#meant, certificate),
    });
  }
}

/** Key and certificates are read once for each identity, not for each connection. */
const contexts = new WeakMap<TlsIdentity, SecureContext>();

function secureContextOf(identity: TlsIdentity): SecureContext {
  const known = contexts.get(identity);
  if (known !== undefined) return known;
  const made = createSecureContext(contextOf(identity));
  contexts.set(identity, made);
  return made;
}

/**
 * Connects over `socket`. Somebody who takes connections and says nothing holds neither the program nor the socket: grpc-js looks at neither
 * until the handshake is over. Rejects when the socket closes first, or after a while.
 */
async function shaken(socket: Socket, connector: SecureConnector): ReturnType<SecureConnector["connect"]> {
  socket.unref();
  const late = setTimeout(() => socket.destroy(), HANDSHAKE_MS).unref();
  let closed = (): void => undefined;
  const isClosed = new Promise<never>((_, reject) => {
    closed = () => reject(new Error("the connection was closed before both sides had shown their certificates"));
    socket.once("close", closed);
  });
  try {
    const connected = await Promise.race([connector.connect(socket), isClosed]);
    connected.socket.ref();
    return connected;
  } finally {
    clearTimeout(late);
    socket.off("close", closed);
  }
}

function serverContext(identity: TlsIdentity): SecureContextOptions {
  // Nobody takes up an earlier session again: what they show is looked at each time.
  return { ...contextOf(identity), secureOptions: constants.SSL_OP_NO_TICKET };
}

function contextOf({ ca, certificate, key }: TlsIdentity): SecureContextOptions {
  return { ca, cert: certificate, key, minVersion: "TLSv1.3" };
}
