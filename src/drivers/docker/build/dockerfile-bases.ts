/**
 * The images that a Dockerfile builds on: what its FROM lines name, with build arguments put in, without stages of its
 * own and `scratch`. References that still hold a variable are left out.
 */
export function baseImages(dockerfile: string, args: Readonly<Record<string, string>>): readonly string[] {
  const values = new Map<string, string>();
  const stages = new Set(["scratch"]);
  const bases = new Set<string>();
  let inStage = false;
  for (const line of dockerfile.replace(/\\\r?\n/g, " ").split(/\r?\n/)) {
    const arg = /^\s*ARG\s+([A-Za-z_]\w*)(?:=(.*?))?\s*$/i.exec(line);
    if (arg?.[1] !== undefined && !inStage) {
      const value = args[arg[1]] ?? arg[2]?.replace(/^(["'])(.*)\1$/, "$2");
      if (value !== undefined) values.set(arg[1], value);
      continue;
    }
    const from = /^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?/i.exec(line);
    if (from?.[1] === undefined) continue;
    inStage = true;
    const image = substitute(from[1], values);
    if (!stages.has(image.toLowerCase()) && !image.includes("$")) bases.add(image);
    if (from[2] !== undefined) stages.add(from[2].toLowerCase());
  }
  return [...bases];
}

function substitute(text: string, values: ReadonlyMap<string, string>): string {
  return text.replace(
    /\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))/g,
    (whole, braced?: string, fallback?: string, bare?: string) => {
      return values.get(braced ?? bare ?? "") ?? fallback ?? whole;
    },
  );
}
