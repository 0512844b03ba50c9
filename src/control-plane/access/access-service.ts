import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { FlowctlError } from "../../foundation/errors.ts";
import { decodeAccessRole, encodeGrant, type GrantMessage, type RevokeMessage } from "../../protocol/access-codec.ts";
import { toTime } from "../../protocol/wire-values.ts";
import { type HandlerContext, unary } from "../grpc-handlers.ts";
import type { Access } from "./access.ts";
import { CODE_LIFE_MS, type Sessions } from "./sessions.ts";

/** Both undefined in the clear: then everybody has access, and nobody can be given it. */
export interface AccessParts {
  readonly access: Access | undefined;
  readonly sessions: Sessions | undefined;
}

/** The methods of flowctl.control.v1.PipelineControl about who has access. */
export function accessMethods(context: HandlerContext, parts: AccessParts): UntypedServiceImplementation {
  const access = (): Access => parts.access ?? everybody();
  return {
    GrantAccess: unary(context, ({ name, role }: GrantMessage, { peer }) =>
      access().grant(name, decodeAccessRole(role), peer),
    ),
    RevokeAccess: unary(context, async ({ name }: RevokeMessage, { peer }) => {
      await access().revoke(name, peer);
      return {};
    }),
    ListAccess: unary(context, () => ({ grants: access().list().map(encodeGrant) })),
    RotateOwner: unary(context, async (_: object, { peer }) => {
      await access().rotateOwner(peer);
      return {};
    }),
    OpenSession: unary(context, (_: object, { peer }) => {
      if (peer === undefined || parts.sessions === undefined) return everybody();
      return { code: parts.sessions.open(peer.serial), expiresIn: toTime(CODE_LIFE_MS) };
    }),
  };
}

function everybody(): never {
  throw new FlowctlError({
    code: "access/insecure",
    kind: "conflict",
    message: "the pipeline runs with --insecure: everybody who reaches its ports has access",
    fix: "Run `flowctl up` without --insecure.",
  });
}
