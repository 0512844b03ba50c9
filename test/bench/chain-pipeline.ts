/**
 * A pipeline file of `components` components in a row: a generator, filters that let everything through, and a file
 * sink that writes to `out.jsonl` beside it.
 */
export function chainPipeline(name: string, components: number): string {
  const lines = [`name: ${name}`, "sources:", "  feed:", "    uses: generator", "    with: { rate: 50 }"];
  if (components > 2) lines.push("processors:");
  let above = "feed";
  for (let index = 1; index <= components - 2; index += 1) {
    lines.push(`  step${index}:`, "    uses: filter", "    with: { where: 'true' }", `    inputs: [${above}]`);
    above = `step${index}`;
  }
  lines.push("sinks:", "  out:", "    uses: file", "    with: { path: ./out.jsonl }", `    inputs: [${above}]`);
  return `${lines.join("\n")}\n`;
}
