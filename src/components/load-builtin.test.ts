import { expect, it } from "vitest";
import { builtinCatalog } from "./catalog.ts";
import { loadBuiltin } from "./load-builtin.ts";

it.each([...builtinCatalog])("%s is what its spec says, checked by the same schema", async (_key, spec) => {
  const { type, definition } = await loadBuiltin(spec.type, spec.name);
  expect(type).toBe(spec.type);
  expect(definition.name).toBe(spec.name);
  expect(definition.config).toBe(spec.schema);
  expect(definition.version).toMatch(/^\d+\.\d+\.\d+/);
});

it("names the built-ins when there is none of that name and type", async () => {
  for (const [type, name] of [
    ["sink", "filter"],
    ["source", "toString"],
  ] as const) {
    await expect(loadBuiltin(type, name)).rejects.toMatchObject({
      code: "components/unknown-builtin",
      fix: expect.stringContaining("processor/filter"),
    });
  }
});
