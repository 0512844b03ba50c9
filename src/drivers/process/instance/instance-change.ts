import type { DesiredResource, ObservedResource } from "../../driver.ts";

/** What an instance is to be. */
export type DesiredInstance = Pick<DesiredResource, "key" | "owner" | "index" | "hash" | "parts" | "spec">;

/** What was seen of an instance. */
export type ObservedInstance = Pick<ObservedResource, "key" | "owner" | "index" | "ref">;

/** A `Change` of a component instance, as far as it takes to carry it out. */
export type InstanceChange =
  | { readonly action: "create"; readonly resource: DesiredInstance }
  | { readonly action: "replace"; readonly resource: DesiredInstance; readonly observed: ObservedInstance }
  | { readonly action: "start" | "restart" | "remove"; readonly observed: ObservedInstance }
  | { readonly action: "stop"; readonly observed: ObservedInstance; readonly keepSecrets?: boolean };
