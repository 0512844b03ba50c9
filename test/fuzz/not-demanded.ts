/**
 * What a stranger can do where nobody proves who they are: by generator, why it is not demanded that it does no harm. `--all` sends
 * these as well. On the ports `identity` and `identity-streams`, where it takes a certificate, all of it is demanded.
 */
export const NOT_DEMANDED = {
  "register-as-honest": "whoever names an instance, and another incarnation, supersedes the program that is registered",
  "apply-own-pipeline": "whoever knows the pipeline's name may apply another specification of it",
  "desire-honest": "whoever knows an instance's id may have it stopped",
  "report-honest": "whoever knows an instance's id may report that it has exited",
  "take-over-operation": "whoever asks for it takes over the operation of a command",
  "subscribe-as-honest": "whoever names a subscriber's instance replaces its stream",
  "acknowledge-for-group":
    "whoever subscribes for a group may acknowledge what it is sent, which the group then never gets",
} as const satisfies Readonly<Record<string, string>>;

export type NotDemanded = keyof typeof NOT_DEMANDED;
