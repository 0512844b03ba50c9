import { defineProcessor, FlowctlError } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { EventScope, eventExpressions } from "../expression/event-scope.ts";
import { filterConfig } from "./filter.spec.ts";

/**
 * Emits the received event itself, so that nothing is encoded again. An event about which the expression fails, or
 * gives no truth value, is a bad event.
 */
export const filter = defineProcessor({
  name: "filter",
  version: builtInVersion,
  config: filterConfig,
  open({ config }) {
    const where = eventExpressions().mustCompile(config.where);
    const scope = new EventScope();
    return {
      process(event, emit) {
        scope.reset(event);
        const verdict = where.evaluate(scope);
        if (verdict === true) return emit(event);
        if (verdict !== false) throw noTruthValue(where.text, verdict);
      },
    };
  },
});

function noTruthValue(text: string, verdict: unknown): FlowctlError {
  return new FlowctlError({
    code: "components/not-a-truth-value",
    kind: "invalid",
    message: `'${text}' returned ${verdict === null ? "null" : typeof verdict}, but must return a boolean`,
    fix: "compare the value with something, such as `payload.ok == true`",
  });
}
