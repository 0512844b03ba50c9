import type { DriverCapabilities } from "../driver.ts";

/** What processes can do and cannot. */
export const PROCESS_CAPABILITIES: DriverCapabilities = {
  images: false,
  limits: false,
  restartsExited: false,
  loopback: true,
};
