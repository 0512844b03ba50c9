import { createHash } from "node:crypto";
import * as z from "zod";
import type { BuiltinSpec, SettingProblem } from "../../pipeline/catalog.ts";
import type { Partition } from "../../sdk/index.ts";
import { durationSchema } from "../duration.ts";
import { itemsPathSchema } from "./items-path.ts";

const headerName = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "must be the name of an HTTP header");

export const httpPollConfig = z.strictObject({
  url: z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).describe("What is asked."),
  interval: durationSchema.default("1m").describe("From the start of one request to the start of the next."),
  count: z.int().positive().optional().describe("Ends after so many answers. Left out: goes on without end."),
  method: z.enum(["GET", "POST"]).default("GET").describe("HTTP method."),
  headers: z.record(headerName, z.string()).default({}).describe("Headers of the request."),
  header_secrets: z
    .record(headerName, z.string().min(1))
    .default({})
    .describe(
      "Headers whose values are secrets: header → name of a secret that the component is granted. Redirects are refused then.",
    ),
  body: z.string().optional().describe("With `POST`: the body of the request."),
  items: itemsPathSchema
    .optional()
    .describe(
      "Where in the JSON answer the array of items is; each is an event. Left out: an array's items, else the whole answer.",
    ),
  id: itemsPathSchema
    .optional()
    .describe("Where in an item its id is. An item whose id was seen among the last `remember` is not sent again."),
  remember: z
    .int()
    .positive()
    .max(1_000_000)
    .default(10_000)
    .describe("With `id`: how many ids are remembered, also over restarts."),
  type: z.string().min(1).default("item").describe("Type of the events."),
  timeout: durationSchema.default("30s").describe("A request that takes longer has failed."),
  retries: z
    .int()
    .nonnegative()
    .default(5)
    .describe(
      "How often a failed request (no answer, 408, 429, 5xx) is tried again before the component fails; with growing delays.",
    ),
  max_bytes: z.int().positive().default(67_108_864).describe("A larger answer is an error. Bounds memory."),
});

export type HttpPollConfig = z.output<typeof httpPollConfig>;

/**
 * One partition: what is asked. The identity is shown, so that what may be secret in a URL is only in a digest.
 */
export function httpPollPartitions({
  url,
  method,
  body,
}: Pick<HttpPollConfig, "url" | "method" | "body">): readonly Partition[] {
  const { origin, pathname } = new URL(url);
  const digest = createHash("sha256")
    .update(JSON.stringify([method, url, body ?? ""]))
    .digest("base64url");
  return [{ id: "", identity: `${method} ${origin}${pathname} ${digest.slice(0, 12)}` }];
}

export const httpPollSpec: BuiltinSpec = {
  name: "http-poll",
  type: "source",
  summary: "Asks an HTTP address again and again and makes events of what is new in the answers.",
  schema: httpPollConfig,
  paths: {},
  shareable: false,
  partitions: (settings) => httpPollPartitions(settings as HttpPollConfig),
  consumes: [],
  produces: [],
  producesWith: (settings) => [(settings as HttpPollConfig).type],
  check(settings) {
    const config = settings as HttpPollConfig;
    const problems: SettingProblem[] = [];
    if (config.body !== undefined && config.method !== "POST") {
      problems.push({ path: ["body"], message: "a body goes with method POST only", fix: "set method: POST" });
    }
    const plain = new Set(Object.keys(config.headers).map((name) => name.toLowerCase()));
    for (const name of Object.keys(config.header_secrets)) {
      if (!plain.has(name.toLowerCase())) continue;
      problems.push({
        path: ["header_secrets", name],
        message: `header ${name} is in headers too`,
        fix: "keep one of the two",
      });
    }
    return problems;
  },
  secretsOf: (settings) => Object.values((settings as HttpPollConfig).header_secrets),
};
