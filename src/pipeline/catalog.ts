import type { z } from "zod";
import type { ComponentType } from "./pipeline.ts";

/** What the pipeline model needs to know of a built-in component to check a file that uses it, without running it. */
export interface BuiltinSpec {
  /** The name after `uses:`. */
  readonly name: string;
  readonly type: ComponentType;
  /** One sentence for lists and docs. */
  readonly summary: string;
  /** Checks `with`. Every key has a description; unknown keys are refused (`z.strictObject`). */
  readonly schema: z.ZodType<Record<string, unknown>>;
  /** Keys of `with` (dotted for nested ones) that hold paths, and what the component does there. */
  readonly paths: Readonly<Record<string, "read" | "write">>;
  /** Event types it takes and gives whatever its settings are; empty means any. */
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  /**
   * The event types that it gives with these settings, which the schema has accepted: `as-taken` are those of its inputs.
   * Absent where the settings do not matter.
   */
  producesWith?(settings: Record<string, unknown>): readonly string[] | "as-taken";
  /** Further checks that a schema cannot say, such as compiling an expression. One problem per wrong value. */
  check?(settings: Record<string, unknown>): readonly SettingProblem[];
  /** Secret names that the settings refer to; each has to be in the component's `secrets`. */
  secretsOf?(settings: Record<string, unknown>): readonly string[];
  /** False: instances of it cannot share their work, and more than one is refused. */
  readonly shareable?: false;
  /**
   * A source: what there is to read with these settings, which the schema has accepted, the very same that its program declares.
   * Positions are kept by id and identity.
   */
  partitions?(settings: Record<string, unknown>): readonly { readonly id: string; readonly identity: string }[];
  /** Why a sink with these settings keeps too little of dead letters; undefined when it keeps enough to replay them. */
  losesDeadLetters?(settings: Record<string, unknown>): SettingProblem | undefined;
}

export interface SettingProblem {
  /** Keys from `with` down to the wrong value. */
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly fix?: string;
  /** A name in the value that does not exist, and those that do. */
  readonly unknown?: { readonly name: string; readonly known: readonly string[] };
  /** Offset into the wrong string value, in characters, where the mistake is known that precisely. */
  readonly offset?: number;
}

/**
 * All built-ins, by `builtinKey`. Passed in by whoever loads a pipeline, so that the model does not know the components.
 */
export type BuiltinCatalog = ReadonlyMap<string, BuiltinSpec>;

/** The key of a built-in in the catalog. A name is unique within a type only: there is a `file` source and a `file` sink. */
export function builtinKey(type: ComponentType, name: string): string {
  return `${type}/${name}`;
}
