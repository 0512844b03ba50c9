import type { Alias, Node, Pair, Range, Scalar, YAMLMap } from "yaml";
import { isAlias, isMap, isScalar, isSeq, parseDocument } from "yaml";
import { oneOf, suggestion } from "../../foundation/did-you-mean.ts";
import type { ProblemList } from "../problem.ts";
import { nestingOf } from "./nesting.ts";
import type { Place, SourceFile } from "./source-file.ts";
import { startOf } from "./source-file.ts";
import type { ListNode, MapEntry, MapNode, MergeTag, ScalarNode, SourceNode } from "./source-node.ts";
import { reportSyntax } from "./yaml-syntax.ts";

/** How many values aliases may stand for in one file, all in all. */
const maximumAliasedNodes = 20_000;
const maximumDepth = 100;

/**
 * Parses a pipeline file into nodes: aliases and merge keys are resolved, duplicate keys, unknown tags and every
 * syntax error are reported. Returns undefined when the text is so broken that its content cannot be trusted.
 * Never throws.
 */
export function readYaml(file: SourceFile, problems: ProblemList): MapNode | undefined {
  problems.order(file.path);
  if (file.garbled) return undefined;
  const nesting = nestingOf(file.text);
  if (nesting.depth > maximumDepth) {
    problems.add(
      { file, start: nesting.offset, end: nesting.offset + 1 },
      {
        code: "pipeline/too-deep",
        message: `The file has more than ${maximumDepth} levels of nesting`,
        fix: "Check for unclosed brackets.",
      },
    );
    return undefined;
  }
  const document = parseDocument<Node, true>(file.text, {
    merge: false,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: "error",
  });
  if (document.errors.length > 0) {
    reportSyntax(file, document, problems);
    return undefined;
  }
  for (const warning of document.warnings) {
    const [start, end] = warning.pos;
    const text = file.text.slice(start, end);
    if (text === "!reset" || text === "!override") continue;
    const isTag = warning.code === "TAG_RESOLVE_FAILED";
    problems.add(
      { file, start, end },
      {
        code: isTag ? "pipeline/unknown-tag" : "pipeline/yaml-syntax",
        message: isTag ? `Unsupported tag \`${text}\`` : `Unknown YAML directive \`${text}\``,
        fix: isTag
          ? `Put a value that begins with \`!\` in quotes, \`"${text} …"\`; a tag can only be \`!reset\` or \`!override\`.`
          : "Remove the line.",
      },
    );
  }
  const contents = document.contents;
  if (contents === null || (isScalar(contents) && contents.value === null)) {
    problems.add(startOf(file), {
      code: "pipeline/empty-file",
      message: "The file is empty",
      fix: "Declare at least one source and one sink, create an example with `flowctl init`, or remove the file.",
    });
    return undefined;
  }
  const root = new Converter(file, problems).convert(contents, startOf(file));
  if (root.kind === "map") return root;
  problems.add(root.place, {
    code: "pipeline/wrong-type",
    message: "A pipeline file must be a mapping with keys such as `sources` and `sinks`",
    fix: "Start lines with `key:`.",
  });
  return undefined;
}

class Converter {
  readonly #file: SourceFile;
  readonly #problems: ProblemList;
  /** What each anchor stands for; `undefined` while its value is being converted. */
  readonly #anchors = new Map<string, { node: SourceNode; size: number } | undefined>();
  #size = 0;
  #aliased = 0;

  constructor(file: SourceFile, problems: ProblemList) {
    this.#file = file;
    this.#problems = problems;
  }

  convert(node: Node | null | undefined, fallback: Place): SourceNode {
    if (node === null || node === undefined) return this.#empty(fallback);
    if (isAlias(node)) return this.#alias(node, fallback);
    const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
    const before = this.#size;
    if (anchor !== undefined) this.#anchors.set(anchor, undefined);
    const result = this.#value(node, this.#place(node.range, fallback));
    this.#size++;
    if (anchor !== undefined) this.#anchors.set(anchor, { node: result, size: this.#size - before });
    return result;
  }

  #value(node: Node, place: Place): SourceNode {
    const tag = mergeTag(node.tag);
    if (isMap(node)) return { ...this.#map(node, place), ...tag };
    if (isSeq(node)) {
      const items = node.items.map((item) => this.convert(item as Node, place));
      const list: ListNode = { kind: "list", place, items, ...tag };
      return list;
    }
    return isScalar(node) ? { ...this.#scalar(node, place), ...tag } : this.#empty(place);
  }

  #scalar(node: Scalar, place: Place): ScalarNode {
    const { value } = node;
    const plain = node.type === "PLAIN";
    const text = node.source ?? String(value ?? "");
    if (typeof value === "number" && !Number.isFinite(value)) {
      this.#problems.add(place, {
        code: "pipeline/invalid-value",
        message: `\`${text}\` is not a finite number`,
        fix: "Write a number, or quote the value.",
      });
      return { kind: "scalar", place, value: text, text, plain: false, failed: true };
    }
    const known = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    return { kind: "scalar", place, value: known ? value : null, text, plain, ...failedTag(node.tag) };
  }

  #map(node: YAMLMap, place: Place): MapNode {
    const entries = new Map<string, MapEntry>();
    const merged: SourceNode[] = [];
    for (const pair of node.items as Pair<Node, Node | null>[]) {
      const keyPlace = this.#place(pair.key?.range, place);
      const value = this.convert(pair.value, { ...keyPlace, start: keyPlace.end });
      const key = this.#key(pair.key, keyPlace);
      if (key === undefined) continue;
      if (key === "<<" && isScalar(pair.key) && pair.key.type === "PLAIN") {
        merged.push(...this.#mergeSources(value));
        continue;
      }
      const earlier = entries.get(key);
      if (earlier !== undefined) {
        const line = this.#file.lineStarts.findLastIndex((start) => start <= earlier.keyPlace.start) + 1;
        this.#problems.add(keyPlace, {
          code: "pipeline/duplicate-key",
          message: `Duplicate key \`${key}\`; first defined on line ${line}`,
          fix: "Remove one of the two, or rename it.",
        });
        continue;
      }
      entries.set(key, { key, keyPlace, value });
    }
    for (const source of merged) {
      if (source.kind !== "map") continue;
      for (const [key, entry] of source.entries) if (!entries.has(key)) entries.set(key, entry);
    }
    return { kind: "map", place, entries };
  }

  /** The mappings behind `<<`, the one that wins first. */
  #mergeSources(value: SourceNode): readonly SourceNode[] {
    const sources = value.kind === "list" ? value.items : [value];
    const wrong = sources.find((source) => source.kind !== "map");
    if (wrong !== undefined) {
      this.#problems.add(wrong.place, {
        code: "pipeline/wrong-type",
        message: "The merge key `<<` takes a mapping or a list of mappings",
        fix: "Refer to an anchor on a mapping, such as `<<: *defaults`.",
      });
    }
    return sources;
  }

  #key(node: Node | null, place: Place): string | undefined {
    const scalar = isAlias(node) || isScalar(node) ? this.convert(node, place) : undefined;
    if (scalar?.kind === "scalar") {
      const text = typeof scalar.value === "string" ? scalar.value : scalar.text;
      if (text !== "__proto__" && text !== "") return text;
    }
    this.#problems.add(place, {
      code: "pipeline/invalid-key",
      message: "Invalid key",
      fix: "Use a string as the key.",
    });
    return undefined;
  }

  #alias(alias: Alias, fallback: Place): SourceNode {
    const place = this.#place(alias.range, fallback);
    if (!this.#anchors.has(alias.source)) {
      const known = [...this.#anchors.keys()];
      this.#problems.add(place, {
        code: "pipeline/unknown-anchor",
        message: `Unknown anchor \`&${alias.source}\``,
        fix: suggestion(
          alias.source,
          known,
          known.length === 0
            ? "Define the anchor above this line."
            : `Use ${oneOf(known.map((name) => `*${name}`))}, or define it above this line.`,
        ),
      });
      return this.#empty(place);
    }
    const target = this.#anchors.get(alias.source);
    if (target === undefined) {
      this.#problems.add(place, {
        code: "pipeline/recursive-alias",
        message: `The alias \`*${alias.source}\` is inside the value it refers to`,
        fix: "Remove the alias, or move it out of that value.",
      });
      return this.#empty(place);
    }
    this.#size += target.size;
    this.#aliased += target.size;
    if (this.#aliased > maximumAliasedNodes) {
      const first = this.#aliased - target.size <= maximumAliasedNodes;
      if (first) {
        this.#problems.add(place, {
          code: "pipeline/alias-bomb",
          message: `The aliases in this file expand to more than ${maximumAliasedNodes} values`,
          fix: "Use fewer aliases to aliases.",
        });
      }
      return this.#empty(place);
    }
    return target.node;
  }

  #empty(place: Place): ScalarNode {
    return { kind: "scalar", place, value: null, text: "", plain: true };
  }

  #place(range: Range | null | undefined, fallback: Place): Place {
    return range ? { file: this.#file, start: range[0], end: range[1] } : fallback;
  }
}

function failedTag(tag: string | undefined): { failed?: true } {
  return tag?.startsWith("!") && mergeTag(tag).tag === undefined ? { failed: true } : {};
}

function mergeTag(tag: string | undefined): { tag?: MergeTag } {
  if (tag === "!reset") return { tag: "reset" };
  return tag === "!override" ? { tag: "override" } : {};
}
