import * as z from "zod";
import { type BuiltinCatalog, type BuiltinSpec, builtinKey } from "./catalog.ts";

type Described = Omit<BuiltinSpec, "consumes" | "produces" | "paths" | "summary"> & Partial<BuiltinSpec>;

const duration = z.string().regex(/^\d+(?:ms|s|m|h)$/, "must be a duration such as 30s");

const described: readonly Described[] = [
  {
    name: "generator",
    type: "source",
    schema: z.strictObject({
      count: z.int().positive().optional().describe("How many events."),
      rate: z.union([z.number().positive(), z.literal("unlimited")]).default(1),
      type: z.string().min(1).default("generated"),
      template: z.record(z.string(), z.string()).optional(),
    }),
    producesWith: ({ type }) => [String(type)],
  },
  {
    name: "file",
    type: "source",
    schema: z.strictObject({ path: z.string().min(1), follow: z.boolean().default(false) }),
    paths: { path: "read" },
    shareable: false,
  },
  {
    name: "http-poll",
    type: "source",
    schema: z.strictObject({
      url: z.url({ error: "must be an http or https URL" }),
      interval: duration.default("1m"),
      method: z.enum(["GET", "POST"]).default("GET"),
      headers: z.record(z.string(), z.string()).default({}),
    }),
  },
  {
    name: "filter",
    type: "processor",
    schema: z.strictObject({ where: z.string().min(1) }),
    producesWith: () => "as-taken",
    check: (settings) => {
      const offset = String(settings.where).indexOf("=>");
      return offset === -1 ? [] : [{ path: ["where"], message: "`=>` is not an operator", fix: "write >=", offset }];
    },
  },
  {
    name: "map",
    type: "processor",
    schema: z.strictObject({ set: z.record(z.string(), z.string()), type: z.string().optional() }),
    producesWith: ({ type }) => (typeof type === "string" ? [type] : "as-taken"),
  },
  { name: "stdout", type: "sink", schema: z.strictObject({ format: z.enum(["json", "text"]).default("json") }) },
  { name: "discard", type: "sink", schema: z.strictObject({}) },
  {
    name: "file",
    type: "sink",
    schema: z.strictObject({ path: z.string().min(1), format: z.enum(["payload", "event"]).optional() }),
    paths: { path: "write" },
    losesDeadLetters: ({ format }) =>
      format === "payload"
        ? { path: ["format"], message: "payloads lose the reason", fix: "set format: event" }
        : undefined,
  },
  {
    name: "postgres",
    type: "sink",
    schema: z.strictObject({ url: z.string(), table: z.string(), password_secret: z.string().optional() }),
    secretsOf: (settings) => (typeof settings.password_secret === "string" ? [settings.password_secret] : []),
  },
];

/** Built-ins for tests of the pipeline model, which must not change when real ones do. */
export const fakeCatalog: BuiltinCatalog = new Map(
  described.map((spec) => [
    builtinKey(spec.type, spec.name),
    { summary: `The ${spec.name} ${spec.type}.`, paths: {}, consumes: [], produces: [], ...spec },
  ]),
);
