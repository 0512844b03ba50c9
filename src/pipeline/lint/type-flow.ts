import { builtinKey } from "../catalog.ts";
import type { Component, Input } from "../pipeline.ts";
import { builtinTypes } from "../resolve/resolve-builtin.ts";
import type { ResolvedComponent } from "../resolve/resolved.ts";
import { makeTopology } from "../topology.ts";
import { isBroken, type LintContext } from "./lint-context.ts";

/** Which event types each component can give, as far as the file and the built-ins say. An empty list is any type. */
export class TypeFlow {
  readonly #context: LintContext;
  readonly #given = new Map<string, readonly string[]>();

  constructor(context: LintContext) {
    this.#context = context;
    const items = new Map(context.resolved.components.map((item) => [item.component.id, item]));
    // Upstreams first. What is part of a cycle, which is a mistake of its own, finds nothing known of itself.
    for (const id of makeTopology([...items.values()].map(({ component }) => component)).order) {
      const item = items.get(id);
      if (item !== undefined) this.#given.set(id, this.#givenBy(item));
    }
  }

  /** The types that `id` can give; any for who is unknown or too broken to tell. */
  givenBy(id: string): readonly string[] {
    return this.#given.get(id) ?? [];
  }

  /** What the settings of a built-in say that it gives, whatever its `produces` in the file says; any where unknown. */
  settledFor(component: Component): readonly string[] {
    const types = this.#builtinTypes(component);
    return types === "as-taken" ? [] : types;
  }

  #givenBy(item: ResolvedComponent): readonly string[] {
    if (isBroken(this.#context, item, "inputs", "with", "uses", "produces")) return [];
    const { component } = item;
    if (component.produces.length > 0 || this.#builtinTypes(component) !== "as-taken") return component.produces;
    const taken = component.inputs.map((input) => this.#passing(input, component));
    return taken.some((types) => types.length === 0) ? [] : [...new Set(taken.flat())];
  }

  /** What comes in by an input. Any, too, when nothing can: that is a mistake there, and not also further down. */
  #passing(input: Input, component: Component): readonly string[] {
    const lists = [this.givenBy(input.from), input.types, component.consumes].filter((types) => types.length > 0);
    return lists.length === 0 ? [] : lists.reduce((some, others) => some.filter((type) => others.includes(type)));
  }

  #builtinTypes(component: Component): readonly string[] | "as-taken" {
    const spec = this.#context.catalog.get(builtinKey(component.type, component.uses ?? ""));
    return component.uses === undefined || spec === undefined ? [] : builtinTypes(spec, component.with);
  }
}
