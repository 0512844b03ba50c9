import { closest, listed, oneOf, suggestion } from "../../foundation/did-you-mean.ts";
import type { KeyPath } from "../problem.ts";
import type { ResolvedComponent } from "../resolve/resolved.ts";
import { reportAt, reportAtKey } from "../resolve/scope.ts";
import type { Declaration, LintContext } from "./lint-context.ts";
import { idsOf, isBroken } from "./lint-context.ts";

/** Every component is wired to others that exist, in the direction that its type allows. */
export function lintWiring(context: LintContext): void {
  const { resolved, scope } = context;
  const active = resolved.components.filter((item) => item.active);
  const meantSink = meaning(context, "sinks");
  const meantInput = meaning(context, "sources", "processors");
  const deadLetterTargets = new Set(
    resolved.components.map(({ component }) => component.onError.to && meantSink(component.onError.to)),
  );
  const brokenWiring =
    context.incomplete || resolved.components.some((item) => isBroken(context, item, "inputs", "on_error"));
  const lostComponents = [...context.declared.values()].some((item) => item.active === undefined);
  const consumed = new Set(active.flatMap((item) => item.component.inputs.map((input) => meantInput(input.from))));

  for (const item of resolved.components) {
    if (scope.problems.isFull) return;
    const { component, path } = item;
    const inputsPath = [...path, "inputs"];
    if (component.type === "source" && component.inputs.length > 0) {
      reportAtKey(scope, inputsPath, {
        code: "pipeline/source-with-inputs",
        message: `The source \`${component.id}\` has inputs, but sources take none`,
        fix: "Remove `inputs`, or move it to `processors`.",
      });
      continue;
    }
    lintInputs(context, item, inputsPath);
    const needsInputs = component.type !== "source" && !deadLetterTargets.has(component.id);
    if (needsInputs && component.inputs.length === 0 && !isBroken(context, item, "inputs") && !brokenWiring) {
      reportAtKey(scope, path, {
        code: "pipeline/no-inputs",
        message: `The ${component.type} \`${component.id}\` has no inputs`,
        fix:
          component.type === "sink"
            ? "Add `inputs`, or make it the dead-letter sink (`to`) of an `on_error`."
            : "Add `inputs`: the ids of its upstream components.",
      });
    }
    if (component.type === "sink" || !item.active || consumed.has(component.id) || brokenWiring || lostComponents)
      continue;
    reportAtKey(scope, path, {
      code: "pipeline/unused-component",
      message: `Nothing consumes ${component.type} \`${component.id}\``,
      fix: `Add \`${component.id}\` to the \`inputs\` of a processor or sink, or remove it.`,
    });
  }
  if (active.length === 0 && !context.incomplete && declaresNoComponent(context) && resolved.components.length === 0) {
    if (!["sources", "processors", "sinks"].some((section) => scope.tainted([section]))) {
      reportAt(scope, [], {
        code: "pipeline/no-components",
        message: "The file declares no components",
        fix: "Declare at least one source and one sink, or create an example with `flowctl init`.",
      });
    }
  } else if (active.length === 0 && resolved.components.length > 0) {
    const profiles = new Set(resolved.components.flatMap((item) => item.file.profiles ?? []));
    reportAtKey(scope, resolved.components[0]?.path ?? [], {
      code: "pipeline/no-active-component",
      message: "No component is active: all of them belong to inactive profiles",
      fix: `Activate one with \`--profile\`: ${listed(profiles)}.`,
    });
  }
}

/** Past that there is more wrong with a file than slips. */
const mostGuesses = 200;

/** Finds the component that a reference names, or that it probably meant, lest one slip be reported at both ends. */
function meaning(context: LintContext, ...sections: readonly Declaration["section"][]): (id: string) => string {
  const candidates = idsOf(context, ...sections);
  let guesses = 0;
  return (id) => {
    if (context.declared.has(id) || guesses >= mostGuesses) return id;
    guesses++;
    return closest(id, candidates) ?? id;
  };
}

function lintInputs(context: LintContext, item: ResolvedComponent, inputsPath: KeyPath): void {
  const { scope } = context;
  const { component } = item;
  const seen = new Set<string>();
  component.inputs.forEach((input, index) => {
    const written = item.file.inputs?.[index];
    const at = typeof written === "string" ? [...inputsPath, index] : [...inputsPath, index, "from"];
    const target = context.declared.get(input.from);
    const candidates = () => idsOf(context, "sources", "processors").filter((id) => id !== component.id);
    if (input.from === component.id && target?.section !== item.path[0]) return;
    if (input.from === component.id) {
      reportAt(scope, at, {
        code: "pipeline/self-input",
        message: `\`${component.id}\` is its own input`,
        fix: "Remove it from its `inputs`.",
      });
    } else if (seen.has(input.from)) {
      reportAt(scope, at, {
        code: "pipeline/duplicate-input",
        message: `\`${component.id}\` lists input \`${input.from}\` twice`,
        fix: "Remove one of the two; `types` can list several event types.",
      });
    } else if (target === undefined) {
      if (context.incomplete) return;
      reportAt(scope, at, {
        code: "pipeline/unknown-input",
        message: `\`${component.id}\` has input \`${input.from}\`, which does not exist`,
        fix: suggestion(
          input.from,
          candidates(),
          candidates().length === 0 ? "Declare it under `sources`." : `Use ${oneOf(candidates())}.`,
        ),
      });
    } else if (target.section === "sinks" || target.section === "services") {
      const what = target.section === "sinks" ? "sink" : "service";
      reportAt(scope, at, {
        code: "pipeline/input-gives-no-events",
        message: `\`${component.id}\` has the ${what} \`${input.from}\` as an input, but ${what}s produce no events`,
        fix: `Use ${candidates().length === 0 ? "a source" : oneOf(candidates())} as the input.`,
      });
    } else if (item.active && target.active === false) {
      reportAt(scope, at, {
        code: "pipeline/inactive-input",
        message: `\`${component.id}\` has input \`${input.from}\`, which is not in an active profile`,
        fix: `Activate its profile with \`--profile\`, or add the same \`profiles\` to \`${component.id}\`.`,
      });
    }
    seen.add(input.from);
  });
}

/** Services alone are no pipeline: nothing would flow. */
function declaresNoComponent({ declared }: LintContext): boolean {
  return [...declared.values()].every(({ section }) => section === "services");
}
