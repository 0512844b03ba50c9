import type { Pipeline } from "../../pipeline/pipeline.ts";
import { topologyOf } from "../../pipeline/topology.ts";
import { isFirstStart } from "../../planner/plan.ts";
import type { CommandContext } from "../command.ts";
import type { PreparedUp } from "./change.ts";

/** What a first start ends with: what the pipeline is, where to look, and how to end it. Returns whether it was one: of another start it says nothing. */
export async function sayBanner(
  { output, signal, settings }: CommandContext,
  { pipeline, driver, plan }: PreparedUp,
  { state, attached }: { readonly state: string; readonly attached: boolean },
): Promise<boolean> {
  if (!isFirstStart(plan)) return false;
  if (output.quiet || output.json) return true;
  const { paintError: paint } = output;
  const rows: (readonly [title: string, what: string, more?: string])[] = [
    ["Status", "`flowctl status --watch`"],
    ["Logs", "`flowctl logs -f`"],
  ];
  // What has been started runs, whether or not the driver answers once more.
  const observed = await driver.observe(pipeline.name, signal).catch(() => []);
  const ports = observed.find(({ kind }) => kind === "control-plane")?.ports;
  const http = ports?.find((port) => port.endsWith(HTTP))?.slice(0, -HTTP.length);
  const how = settings.insecure
    ? "open to every user of this machine"
    : `\`flowctl access url\` opens it in a browser${settings.metrics === "open" ? "; /metrics is open" : ""}`;
  if (http !== undefined) rows.push(["HTTP", `http://${http}`, how]);
  if (attached) rows.push(["Stop", "Ctrl-C", "drains first; press it again to stop now"]);
  else rows.push(["Stop", "`flowctl stop`", "`flowctl start` resumes"]);
  rows.push(["Remove", "`flowctl down`", "-v: stored positions and volumes too"]);
  const lines = [
    ...["", `${paint.bold(pipeline.name)} ${paint.green(state)}`, ""],
    ...chains(pipeline),
    "",
    ...rows.map(([title, what, more]) => {
      const text = plain(output.retyped(what));
      return `${paint.dim(title.padEnd(8))}${text}${more === undefined ? "" : paint.dim(`  ${plain(output.retyped(more))}`)}`;
    }),
    "",
  ];
  output.say(lines.map((line) => (line === "" ? "" : `  ${line}`)).join("\n"));
  return true;
}

const HTTP = "->http";

const plain = (text: string): string => text.replaceAll("`", "");

/**
 * The topology as lines such as `feed → hot → alert → archive, screen`, in which every edge is in exactly one. A line goes on
 * along the first edge that none has yet, and ends with all sinks of its last component.
 */
export function chains(pipeline: Pick<Pipeline, "components">): readonly string[] {
  const topology = topologyOf(pipeline);
  const open = new Map(topology.order.map((id) => [id, [...topology.downstreams(id)]]));
  const isEnd = (id: string): boolean => topology.downstreams(id).length === 0;
  const lineFrom = (id: string): string => {
    const left = open.get(id) ?? [];
    const next = left.findIndex((other) => !isEnd(other));
    if (left.length === 0) return id;
    if (next === -1) return `${id} → ${left.splice(0).join(", ")}`;
    return `${id} → ${lineFrom(left.splice(next, 1)[0] as string)}`;
  };
  return topology.order.flatMap((id) => {
    const lines: string[] = [];
    while (open.get(id)?.length) lines.push(lineFrom(id));
    return lines;
  });
}
