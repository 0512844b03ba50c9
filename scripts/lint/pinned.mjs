import { isMap, isScalar, LineCounter, parseDocument, visit } from "yaml";

const COMMIT = /^[^\s@]+@[0-9a-f]{40}$/;
const DIGEST = /^\S+@sha256:[0-9a-f]{64}$/;

/**
 * What a workflow or an action fetches by a name that may mean something else tomorrow: actions have to be named by commit, with the version in
 * a comment, images by digest.
 *
 * @param {string} text YAML.
 * @returns {{ line: number, named: string }[]}
 */
export function notPinned(text) {
  const lines = new LineCounter();
  const found = [];
  const check = (node, isPinned) => {
    if (!isScalar(node) || typeof node.value !== "string" || isPinned(node)) return;
    found.push({ line: lines.linePos(node.range[0]).line, named: node.value });
  };
  const image = ({ value }) => DIGEST.test(value.replace(/^docker:\/\//, ""));
  const action = (node) => {
    if (node.value.startsWith("./")) return true;
    if (node.value.startsWith("docker://")) return image(node);
    return COMMIT.test(node.value) && /^ v\S+$/.test(node.comment ?? "");
  };
  visit(parseDocument(text, { lineCounter: lines }), {
    Pair(_, { key, value }) {
      const name = isScalar(key) ? key.value : undefined;
      if (name === "uses") check(value, action);
      else if (name === "FLOWCTL_BASE_IMAGE" || name === "container" || name === "image") {
        // A job may be called so.
        if (!isMap(value)) check(value, image);
      }
    },
  });
  return found;
}
