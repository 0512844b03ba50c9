import type { Edge } from "../topology.ts";
import { makeTopology } from "../topology.ts";
import { type DrawnComponent, runsWhat } from "./describe-component.ts";
import type { Paint } from "./paint.ts";
import { harmless, plainPaint } from "./paint.ts";

/** A column of the drawing: the edge that runs down it, or nothing. */
type Lane = Edge | undefined;

/**
 * Draws the topology for a terminal: one line a component in topological order, its edges as lanes to the left of it,
 * dead letters dotted. Ends with a newline unless there are no components.
 */
export function renderText(
  pipeline: { readonly components: readonly DrawnComponent[] },
  paint: Paint = plainPaint,
): string {
  const topology = makeTopology(pipeline.components);
  const byId = new Map(pipeline.components.map((component) => [component.id, component]));
  const order = depthFirst(topology.order, topology.edges);
  const rows: { readonly drawing: string; readonly component?: DrawnComponent }[] = [];
  let lanes: Lane[] = [];
  order.forEach((id, index) => {
    const incoming = lanes.flatMap((lane, column) => (lane?.to === id ? [column] : []));
    const column = incoming[0] ?? freeColumn(lanes, 0);
    if (incoming.length > 1) {
      rows.push({ drawing: joint(lanes, column, incoming, "╯", "┴") });
      for (const other of incoming.slice(1)) lanes[other] = undefined;
    }
    const component = byId.get(id);
    rows.push({ drawing: straight(lanes, column), ...(component === undefined ? {} : { component }) });
    const outgoing = topology.edges.filter((edge) => edge.from === id);
    lanes[column] = outgoing[0];
    const opened = [column];
    for (const edge of outgoing.slice(1)) {
      const free = freeColumn(lanes, column + 1);
      lanes[free] = edge;
      opened.push(free);
    }
    lanes = trimmed(lanes);
    if (index === order.length - 1) return;
    if (opened.length > 1) rows.push({ drawing: joint(lanes, column, opened, "╮", "┬") });
    else rows.push({ drawing: straight(lanes, undefined) });
  });
  return layOut(rows, paint);
}

/** A topological order in which a component follows its upstream as closely as it can: lanes stay short and few. */
function depthFirst(order: readonly string[], edges: readonly Edge[]): readonly string[] {
  const rank = new Map(order.map((id, index) => [id, index]));
  const left = new Map<string, number>(order.map((id) => [id, edges.filter((edge) => edge.to === id).length]));
  const result: string[] = [];
  const ready = order.filter((id) => left.get(id) === 0).toReversed();
  for (let id = ready.pop(); id !== undefined; id = ready.pop()) {
    result.push(id);
    const freed: string[] = [];
    for (const edge of edges) {
      if (edge.from !== id) continue;
      const count = (left.get(edge.to) ?? 1) - 1;
      left.set(edge.to, count);
      if (count === 0) freed.push(edge.to);
    }
    freed.sort((a, b) => (rank.get(b) ?? 0) - (rank.get(a) ?? 0));
    ready.push(...freed);
  }
  const placed = new Set(result);
  return [...result, ...order.filter((id) => !placed.has(id))];
}

function freeColumn(lanes: readonly Lane[], from: number): number {
  for (let column = from; column < lanes.length; column++) if (lanes[column] === undefined) return column;
  return Math.max(from, lanes.length);
}

function trimmed(lanes: readonly Lane[]): Lane[] {
  return lanes.slice(0, lanes.findLastIndex((lane) => lane !== undefined) + 1);
}

function down(lane: Lane): string {
  if (lane === undefined) return " ";
  return lane.kind === "dead_letter" ? "┆" : "│";
}

function straight(lanes: readonly Lane[], node: number | undefined): string {
  const width = Math.max(lanes.length, node === undefined ? 0 : node + 1);
  return Array.from({ length: width }, (_, column) => (column === node ? "●" : down(lanes[column]))).join(" ");
}

/** A row on which the lanes `columns` come together in, or part from, the first of them. */
function joint(
  lanes: readonly Lane[],
  column: number,
  columns: readonly number[],
  last: string,
  middle: string,
): string {
  const end = Math.max(...columns);
  let text = "";
  for (let at = 0; at < Math.max(lanes.length, end + 1); at++) {
    const between = at > column && at < end;
    if (at === column) text += "├";
    else if (at === end) text += last;
    else if (between && columns.includes(at)) text += middle;
    else if (between) text += lanes[at] === undefined ? "─" : "┼";
    else text += down(lanes[at]);
    text += at >= column && at < end ? "─" : " ";
  }
  return text.trimEnd();
}

function layOut(
  rows: readonly { readonly drawing: string; readonly component?: DrawnComponent }[],
  paint: Paint,
): string {
  const components = rows.flatMap((row) => (row.component === undefined ? [] : [row.component]));
  const drawingWidth = Math.max(0, ...rows.map((row) => row.drawing.length)) + 2;
  const idWidth = Math.max(0, ...components.map((component) => component.id.length)) + 2;
  const typeWidth = Math.max(0, ...components.map((component) => component.type.length)) + 2;
  return rows
    .map(({ drawing, component }) => {
      if (component === undefined) return `${drawing.trimEnd()}\n`;
      const id = paint("id", component.id) + " ".repeat(idWidth - component.id.length);
      const type = paint("dim", component.type) + " ".repeat(typeWidth - component.type.length);
      return `${drawing.padEnd(drawingWidth)}${id}${type}${harmless(details(component))}`.trimEnd().concat("\n");
    })
    .join("");
}

function details(component: DrawnComponent): string {
  const parts = [runsWhat(component)].filter((what) => what !== "");
  if (component.replicas > 1) parts.push(`×${component.replicas}`);
  const types = [...new Set(component.inputs.flatMap((input) => input.types))];
  if (types.length > 0) parts.push(`only ${types.join(", ")}`);
  if (component.onError.to !== undefined) parts.push(`dead letters → ${component.onError.to}`);
  return parts.join("  ");
}
