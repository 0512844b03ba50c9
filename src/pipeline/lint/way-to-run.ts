import type { ResolvedComponent } from "../resolve/resolved.ts";
import { reportAtKey } from "../resolve/scope.ts";
import type { Lacking } from "../runnable-on.ts";
import { lackingOn, runnableOn } from "../runnable-on.ts";
import type { LintContext } from "./lint-context.ts";
import { isBroken } from "./lint-context.ts";

const ways = ["uses", "image", "build", "command"] as const;

/** Each component has one way to run, and one driver can run them all: the chosen one, or at least some. */
export function lintWayToRun(context: LintContext): void {
  const { resolved, scope } = context;
  for (const item of resolved.components) lintComponent(context, item);
  for (const { path, service } of resolved.services) {
    if (service.image !== undefined || service.build !== undefined) continue;
    if (scope.tainted([...path, "image"]) || scope.tainted([...path, "build"])) continue;
    reportAtKey(scope, path, {
      code: "pipeline/no-way-to-run",
      message: `The service \`${service.id}\` has neither \`image\` nor \`build\``,
      fix: "Add `image` or `build`.",
    });
  }
  lintDriver(context);
}

function lintComponent(context: LintContext, item: ResolvedComponent): void {
  const { component, path } = item;
  const { scope } = context;
  if (component.uses !== undefined) {
    for (const key of ["image", "build", "command", "entrypoint"] as const) {
      if (component[key] === undefined) continue;
      reportAtKey(scope, [...path, key], {
        code: "pipeline/conflicting-keys",
        message: `\`${component.id}\` cannot have both \`uses\` and \`${key}\``,
        fix: `Remove \`${key}\` to run the built-in, or \`uses\` to run your own program.`,
      });
    }
    return;
  }
  if (isBroken(context, item, ...ways)) return;
  const contained = component.image !== undefined || component.build !== undefined;
  if (!contained && (component.command === undefined || component.command.length === 0)) {
    const words = item.file.command;
    if (typeof words === "string" && words !== "" && component.command === undefined) return;
    reportAtKey(scope, path, {
      code: "pipeline/no-way-to-run",
      message: `The ${component.type} \`${component.id}\` does not specify what to run`,
      fix: "Add `uses` (a built-in), `image` or `build` (a container), or `command` (a program).",
    });
  } else if (!contained && component.entrypoint !== undefined) {
    reportAtKey(scope, [...path, "entrypoint"], {
      code: "pipeline/conflicting-keys",
      message: `\`${component.id}\` has \`entrypoint\` but no image whose entrypoint it could replace`,
      fix: "Use `command` for the program, or add `image`.",
    });
  }
}

function lintDriver(context: LintContext): void {
  const { resolved, scope, driver } = context;
  const items = [...resolved.components, ...resolved.services].filter((item) => item.active);
  if (items.length === 0 || items.some((item) => ways.some((key) => scope.tainted([...item.path, key])))) return;
  const runnable = {
    ...resolved.pipeline,
    components: resolved.pipeline.components.filter((component) => ways.some((way) => component[way] !== undefined)),
    services: resolved.pipeline.services.filter(
      (service) => service.image !== undefined || service.build !== undefined,
    ),
  };
  if (driver !== undefined) {
    for (const lack of lackingOn(driver, runnable)) {
      reportAtKey(scope, pathOf(context, lack), {
        code: "pipeline/driver-cannot-run",
        message: `\`${lack.component}\` ${lack.reason}`,
        fix: `Add what is missing, or choose a driver other than ${driver} with \`driver\` or \`--driver\`.`,
      });
    }
    return;
  }
  const all = runnableOn(runnable);
  if (all.some((candidate) => candidate.ok)) return;
  const reasons = all.map((candidate) => {
    const [first] = candidate.lacking;
    return `${candidate.driver}: \`${first?.component}\` ${first?.reason}`;
  });
  const blocker = all[0]?.lacking[0];
  reportAtKey(scope, blocker === undefined ? [] : pathOf(context, blocker), {
    code: "pipeline/no-driver",
    message: `No driver can run every component: ${reasons.join("; ")}`,
    fix: "Give each component `uses`, or both `image` and `command`.",
  });
}

function pathOf(context: LintContext, lack: Lacking) {
  const component = context.resolved.components.find((item) => item.component.id === lack.component);
  return component?.path ?? ["services", lack.component];
}
