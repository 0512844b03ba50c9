import { createHash } from "node:crypto";
import * as z from "zod";
import type { BuiltinSpec, SettingProblem } from "../../pipeline/catalog.ts";
import type { Partition } from "../../sdk/index.ts";
import { durationSchema } from "../duration.ts";
import { itemsPathSchema } from "./items-path.ts";

const headerName = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "must be an HTTP header name");

export const httpPollConfig = z.strictObject({
  url: z.url({ protocol: /^https?$/, error: "must be an http or https URL" }).describe("The URL to poll."),
  interval: durationSchema.default("1m").describe("Time from the start of one request to the start of the next."),
  count: z
    .int()
    .positive()
    .optional()
    .describe("Number of responses after which the source completes. Default: unlimited."),
  method: z.enum(["GET", "POST"]).default("GET").describe("HTTP method."),
  headers: z.record(headerName, z.string()).default({}).describe("Request headers."),
  header_secrets: z
    .record(headerName, z.string().min(1))
    .default({})
    .describe(
      "Headers with secret values: header → name of a secret granted to the component. With these, redirects are refused.",
    ),
  body: z.string().optional().describe("With `POST`: the request body."),
  items: itemsPathSchema
    .optional()
    .describe(
      "Path of the array of items in the JSON response; each item becomes an event. Default: the items of the response if it is an array, otherwise the whole response.",
    ),
  id: itemsPathSchema
    .optional()
    .describe("Path of the id in an item. An item whose id is among the last `remember` ids is not sent again."),
  remember: z
    .int()
    .positive()
    .max(1_000_000)
    .default(10_000)
    .describe("With `id`: number of ids to remember, also across restarts."),
  type: z.string().min(1).default("item").describe("Type of the events."),
  timeout: durationSchema.default("30s").describe("Timeout of a request."),
  retries: z
    .int()
    .nonnegative()
    .default(5)
    .describe(
      "Number of retries of a failed request (no response, 408, 429, 5xx) before the component fails; delays between retries increase.",
    ),
  max_bytes: z
    .int()
    .positive()
    .default(67_108_864)
    .describe("Maximum size of a response; a larger one is an error. Limits memory usage."),
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
  summary: "Polls an HTTP URL and sends new items in the responses as events.",
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
    const { username, password } = new URL(config.url);
    if (username !== "" || password !== "") {
      problems.push({
        path: ["url"],
        message: "the URL contains a user name or password, which a request cannot have",
        fix: "take it out of the URL, and send it as a header: `header_secrets: { Authorization: … }`",
      });
    }
    if (config.body !== undefined && config.method !== "POST") {
      problems.push({ path: ["body"], message: "body requires method POST", fix: "set method: POST" });
    }
    const plain = new Set(Object.keys(config.headers).map((name) => name.toLowerCase()));
    for (const name of Object.keys(config.header_secrets)) {
      if (!plain.has(name.toLowerCase())) continue;
      problems.push({
        path: ["header_secrets", name],
        message: `header ${name} is also in headers`,
        fix: "remove one of the two",
      });
    }
    return problems;
  },
  secretsOf: (settings) => Object.values((settings as HttpPollConfig).header_secrets),
};
