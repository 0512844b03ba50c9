import { type accessGrant, accessRole, type grantRequest, type revokeRequest } from "./control-messages.ts";
import type { MessageOf } from "./message-type.ts";
import type { AccessGrant, AccessRole } from "./records.ts";
import { fromTime, invalidMessage, toTime } from "./wire-values.ts";

export type GrantMessage = MessageOf<typeof grantRequest>;
export type RevokeMessage = MessageOf<typeof revokeRequest>;
type AccessGrantMessage = MessageOf<typeof accessGrant>;

export function encodeAccessRole(role: AccessRole): string {
  return accessRole.of(role);
}

/** Throws `protocol/invalid-message` where there is none. */
export function decodeAccessRole(role: string): AccessRole {
  return accessRole.require(role, "role");
}

export function encodeGrant({ role, grantedAt, ...grant }: AccessGrant): AccessGrantMessage {
  return { ...grant, role: accessRole.of(role), grantedAt: toTime(grantedAt) };
}

export function decodeGrant({ name, role, grantedAt, grantedBy }: AccessGrantMessage): AccessGrant {
  if (name === "") throw invalidMessage("grants.name", "somebody who has access has no name");
  return { name, role: accessRole.require(role, "grants.role"), grantedAt: fromTime(grantedAt), grantedBy };
}
