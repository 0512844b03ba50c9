import type { UserIds } from "./container/host-user.ts";

/** The flowctl that uses the driver. */
export interface Installation {
  /** The variables of DOCKER_CAPABILITIES and `HOME` are read, and `DOCKER_CERT_PATH`, `DOCKER_TLS_VERIFY`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Folder that holds package.json, dist/, proto/ and images/, of which the flowctl image is built. */
  readonly packageRoot: string;
  /** Version of flowctl. */
  readonly version: string;
  /** Who runs flowctl; absent on systems without user ids. */
  readonly invoker?: UserIds;
}
