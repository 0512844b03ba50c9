import { type DrawnComponent, runsWhat } from "./describe-component.ts";
import { harmless } from "./paint.ts";

/** The topology as a Mermaid flowchart: sources rounded, sinks as cylinders, dead letters dotted. Ends with a newline. */
export function renderMermaid(pipeline: { readonly components: readonly DrawnComponent[] }): string {
  const names = new Map(pipeline.components.map((component, index) => [component.id, `n${index}`]));
  const lines = ["flowchart LR"];
  for (const component of pipeline.components) lines.push(`  ${names.get(component.id)}${shape(component)}`);
  for (const component of pipeline.components) {
    for (const input of component.inputs) {
      const label = input.types.length === 0 ? "" : `|"${escaped(input.types.join(", "))}"|`;
      lines.push(`  ${names.get(input.from) ?? "missing"} -->${label} ${names.get(component.id)}`);
    }
  }
  for (const component of pipeline.components) {
    const to = component.onError.to;
    if (to !== undefined) lines.push(`  ${names.get(component.id)} -.->|"dead letters"| ${names.get(to) ?? "missing"}`);
  }
  return `${lines.join("\n")}\n`;
}

function shape(component: DrawnComponent): string {
  const count = component.replicas > 1 ? ` ×${component.replicas}` : "";
  const what = escaped(runsWhat(component));
  const label = `"${escaped(component.id)}${count}${what === "" ? "" : `<br/>${what}`}"`;
  if (component.type === "source") return `([${label}])`;
  return component.type === "sink" ? `[(${label})]` : `[${label}]`;
}

function escaped(text: string): string {
  return harmless(text).replaceAll(/[&"<>#`]/g, (character) => `#${character.charCodeAt(0)};`);
}
