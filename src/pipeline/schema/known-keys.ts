import * as z from "zod";
import type { KeyPath } from "../problem.ts";

/** The keys that the mapping at `path` can have by `schema`; none where it takes any. */
export function knownKeys(schema: z.core.$ZodType, path: KeyPath): readonly string[] {
  const keys = new Set<string>();
  for (const candidate of schemasAt([schema], path)) {
    if (candidate instanceof z.ZodObject) for (const key of Object.keys(candidate.shape)) keys.add(key);
  }
  return [...keys];
}

function schemasAt(schemas: readonly z.core.$ZodType[], path: KeyPath): readonly z.core.$ZodType[] {
  const open = schemas.flatMap(unwrap);
  const [key, ...rest] = path;
  if (key === undefined) return open;
  return schemasAt(
    open.flatMap((schema): readonly z.core.$ZodType[] => {
      if (schema instanceof z.ZodObject) {
        const child: unknown = Object.hasOwn(schema.shape, key) ? schema.shape[key] : undefined;
        return child instanceof z.ZodType ? [child] : [];
      }
      if (schema instanceof z.ZodRecord) return [schema.valueType];
      return schema instanceof z.ZodArray ? [schema.element] : [];
    }),
    rest,
  );
}

function unwrap(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return unwrap(schema.unwrap());
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return unwrap(schema.unwrap());
  if (schema instanceof z.ZodPipe) return unwrap(schema.in);
  return schema instanceof z.ZodUnion ? schema.options.flatMap(unwrap) : [schema];
}
