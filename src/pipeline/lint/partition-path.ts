import { closest } from "../../foundation/did-you-mean.ts";

const ROOTS = ["id", "type", "payload", "metadata"];
const KEY = "[\\w-]+";
/** What `partition_by` can be: what every upstream component takes the key from (docs/reference/protocol.md, "Sharing by key"). */
const PATH = new RegExp(`^(?:id|type|payload(?:\\.${KEY})*|metadata(?:\\.${KEY})+)$`);

/** What to write in place of a path that leads to nothing in any event; undefined for one that may lead somewhere. */
export function partitionPathFix(path: string): string | undefined {
  if (PATH.test(path)) return undefined;
  const meant = meantPath(path);
  return PATH.test(meant)
    ? `Use \`${meant}\`.`
    : "Use `id`, `type`, or a path such as `payload.customer`, `payload.items.0.key` or `metadata.tenant`.";
}

/** The same with `payload.` where it belongs, dots for brackets, and without what other languages put before it. */
function meantPath(path: string): string {
  const [first = "", ...rest] = path
    .trim()
    .replace(/^\$?\{\s*(.*?)\s*\}$/, "$1")
    .replace(/^\$?\.|^event\.(?=.)/, "")
    .replaceAll(/\[\s*(["']?)([\w-]+)\1\s*\]/g, ".$2")
    .split(".");
  if (ROOTS.includes(first)) return [first, ...rest].join(".");
  const root = rest.length === 0 ? undefined : closest(first, ROOTS);
  return root === undefined ? ["payload", first, ...rest].join(".") : [root, ...rest].join(".");
}
