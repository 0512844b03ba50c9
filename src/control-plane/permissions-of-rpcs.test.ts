import { expect, it } from "vitest";
import { PERMISSIONS } from "../identity/permissions.ts";
import { pipelineControl } from "../protocol/control-messages.ts";
import { componentRegistry } from "../protocol/registry-messages.ts";
import { SUBSCRIBE_PATH } from "../protocol/stream-codec.ts";

it("every RPC of the protocol has a row, and no row is of another", () => {
  const paths = [componentRegistry, pipelineControl].flatMap((service) =>
    Object.values(service).map(({ path }) => path),
  );
  const own = Object.keys(PERMISSIONS).filter((path) => path.startsWith("/flowctl."));
  expect(own.toSorted()).toEqual([...paths, SUBSCRIBE_PATH].toSorted());
});
