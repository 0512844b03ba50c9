import type { ComponentDefinition, Event, EventInit } from "../../sdk/index.ts";
import { defineProcessor, FlowctlError } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { EventScope, eventExpressions } from "../expression/event-scope.ts";
import type { Expression } from "../expression/expression.ts";
import { compileTemplate, type Renderer } from "../expression/template.ts";
import { toJson } from "../expression/to-json.ts";
import { type MapConfig, mapConfig } from "./map.spec.ts";

/**
 * Emits one event for each event. All expressions see the event as it came in. A payload that no setting touches is
 * passed on as the bytes it is.
 */
export const map: ComponentDefinition = defineProcessor({
  name: "map",
  version: builtInVersion,
  config: mapConfig,
  open({ config }) {
    const change = new Change(config);
    return { process: (event, emit) => emit(change.apply(event)) };
  },
});

/** An event that is being put together. */
type Draft = { -readonly [Key in keyof EventInit]: EventInit[Key] };

/** The settings, compiled. */
class Change {
  readonly #scope = new EventScope();
  readonly #to: Renderer | undefined;
  readonly #set: readonly (readonly [string, Renderer])[];
  readonly #drop: readonly string[];
  readonly #type: string | undefined;
  readonly #typeFrom: Expression | undefined;
  readonly #metadata: readonly (readonly [string, Expression])[];
  readonly #timestamp: Expression | undefined;
  readonly #id: Expression | undefined;

  constructor(config: MapConfig) {
    const compiler = eventExpressions();
    const optional = (text: string | undefined): Expression | undefined =>
      text === undefined ? undefined : compiler.mustCompile(text);
    this.#to = config.to === undefined ? undefined : compileTemplate(compiler, config.to);
    this.#set = Object.entries(config.set).map(([field, value]) => [field, compileTemplate(compiler, value)]);
    this.#drop = config.drop;
    this.#type = config.type;
    this.#typeFrom = optional(config.type_from);
    this.#metadata = Object.entries(config.metadata).map(([key, text]) => [key, compiler.mustCompile(text)]);
    this.#timestamp = optional(config.timestamp);
    this.#id = optional(config.id);
  }

  apply(event: Event): EventInit {
    this.#scope.reset(event);
    const init: Draft = {
      type: this.#typeFrom === undefined ? (this.#type ?? event.type) : this.#text("type_from", this.#typeFrom),
    };
    this.#putPayload(event, init);
    if (this.#metadata.length > 0) init.metadata = this.#mergedMetadata(event);
    if (this.#timestamp !== undefined) init.timestamp = this.#time(this.#timestamp);
    if (this.#id !== undefined) init.id = this.#text("id", this.#id);
    return init;
  }

  #putPayload(event: Event, init: Draft): void {
    if (this.#to === undefined && this.#set.length === 0 && this.#drop.length === 0) {
      init.payload = event.payload;
      init.contentType = event.contentType;
      return;
    }
    const base = this.#to === undefined ? this.#scope.payload : this.#to.render(this.#scope);
    init.json = this.#set.length === 0 && this.#drop.length === 0 ? (base ?? null) : this.#changed(base);
    init.contentType = "application/json";
  }

  #changed(base: unknown): Record<string, unknown> {
    if (typeof base !== "object" || base === null || Array.isArray(base)) throw notAnObject(base);
    const result: Record<string, unknown> = { ...base };
    for (const field of this.#drop) delete result[field];
    for (const [field, value] of this.#set) result[field] = value.render(this.#scope);
    return result;
  }

  #mergedMetadata(event: Event): Record<string, string> {
    const merged: Record<string, string> = { ...event.metadata };
    for (const [key, expression] of this.#metadata) {
      const value = toJson(expression.evaluate(this.#scope));
      if (value === null || value === undefined || typeof value === "object") {
        throw wrongValue(`metadata.${key}`, expression, value, "a string, a number or a boolean");
      }
      merged[key] = String(value);
    }
    return merged;
  }

  #text(setting: string, expression: Expression): string {
    const value = expression.evaluate(this.#scope);
    if (typeof value !== "string" || value === "") throw wrongValue(setting, expression, value, "a string");
    return value;
  }

  #time(expression: Expression): Date {
    const value = expression.evaluate(this.#scope);
    if (value instanceof Date && !Number.isNaN(value.getTime())) return value;
    throw wrongValue("timestamp", expression, value, "a timestamp");
  }
}

function wrongValue(setting: string, expression: Expression, value: unknown, needed: string): FlowctlError {
  const given = value === "" ? "an empty string" : value === null ? "null" : typeof value;
  return new FlowctlError({
    code: "components/wrong-value",
    kind: "invalid",
    message: `${setting}: '${expression.text}' returned ${given}, but must return ${needed}`,
  });
}

function notAnObject(value: unknown): FlowctlError {
  return new FlowctlError({
    code: "components/payload-not-object",
    kind: "invalid",
    message: `set and drop require a JSON object as the payload, not ${value === null ? "null" : Array.isArray(value) ? "a list" : typeof value}`,
    fix: "convert the payload to an object with `to`",
  });
}
