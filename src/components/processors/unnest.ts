import { defineProcessor, type Event, FlowctlError } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { EventScope, eventExpressions } from "../expression/event-scope.ts";
import { compileTemplate } from "../expression/template.ts";
import { toJson } from "../expression/to-json.ts";
import { itemExpressions, unnestConfig } from "./unnest.spec.ts";

/** An event for each item, in their order. An event of which the expression gives no list is a bad event; an empty list gives none. */
export const unnest = defineProcessor({
  name: "unnest",
  version: builtInVersion,
  config: unnestConfig,
  open({ config }) {
    const items = eventExpressions().mustCompile(config.items);
    const to = compileTemplate(itemExpressions(), config.to);
    const scope = new ItemScope();
    return {
      async process(event, emit) {
        scope.reset(event);
        const list = toJson(items.evaluate(scope));
        if (!Array.isArray(list)) throw noList(items.text, list);
        for (const [index, item] of list.entries()) {
          scope.item = item;
          scope.index = BigInt(index);
          const json = to.render(scope) ?? null;
          await emit({ type: config.type ?? event.type, json, contentType: "application/json" });
        }
      },
    };
  },
});

/** The variables of an event and of one of its items. */
class ItemScope extends EventScope {
  item: unknown;
  index = 0n;

  override reset(event: Event): void {
    super.reset(event);
    this.item = undefined;
    this.index = 0n;
  }
}

function noList(text: string, value: unknown): FlowctlError {
  return new FlowctlError({
    code: "components/not-a-list",
    kind: "invalid",
    message: `'${text}' returned ${value === null || value === undefined ? "null" : typeof value}, but must return a list`,
    fix: "where it may be missing, write `default(payload.lines, [])`",
  });
}
