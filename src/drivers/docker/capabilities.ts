import type { DriverCapabilities } from "../driver.ts";

/** What containers can do and cannot. */
export const DOCKER_CAPABILITIES: DriverCapabilities = {
  images: true,
  limits: true,
  restartsExited: true,
  engine: {
    unit: "docker.service",
    variables: ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "FLOWCTL_IMAGE", "FLOWCTL_BASE_IMAGE"],
  },
};
