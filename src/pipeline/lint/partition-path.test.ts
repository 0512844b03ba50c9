import { expect, it } from "vitest";
import { partitionPathFix } from "./partition-path.ts";

it.each([
  "id",
  "type",
  "payload",
  "payload.customer",
  "payload.items.0.key",
  "payload.a-b",
  "metadata.tenant",
  "metadata.a.b",
])("%s is a path", (path) => {
  expect(partitionPathFix(path)).toBeUndefined();
});

it.each([
  ["customer", "payload.customer"],
  ["customer.id", "payload.customer.id"],
  ["payloadx.customer", "payload.customer"],
  ["meta.tenant", "payload.meta.tenant"],
  ["metadat.tenant", "metadata.tenant"],
  ["event.payload.customer", "payload.customer"],
  ["event.customer", "payload.customer"],
  ["$.customer", "payload.customer"],
  [".customer", "payload.customer"],
  ["{payload.customer}", "payload.customer"],
  ["payload.items[0].key", "payload.items.0.key"],
  ['metadata["tenant"]', "metadata.tenant"],
])("in place of %s it is %s that was meant", (path, meant) => {
  expect(partitionPathFix(path)).toBe(`Use \`${meant}\`.`);
});

it.each(["metadata", "payload..customer", "id.x", "a b"])("of %s nobody knows what was meant", (path) => {
  expect(partitionPathFix(path)).toMatch(/^Use `id`, `type`, or a path such as/);
});
