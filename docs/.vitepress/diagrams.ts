import { renderMermaidSVG } from "beautiful-mermaid";
import type { MarkdownRenderer } from "vitepress";

/** Text and background of the site's two themes. */
const THEMES = {
  light: { bg: "#ffffff", fg: "#3c3c43" },
  dark: { bg: "#1b1b1f", fg: "#dfdfd6" },
} as const;

/** A label that nobody sees. */
const BLANK = "\u200b";

function picture(diagram: string, theme: keyof typeof THEMES): string {
  // The package draws arrows without labels over one another where they begin or end together, so that nobody can tell which leads where.
  const isFlowchart = /^\s*(flowchart|graph)\b/.test(diagram);
  const apart = isFlowchart ? diagram.replaceAll(/^(\s*\S+ -->) (?!\|)/gm, `$1|${BLANK}| `) : diagram;
  const svg = renderMermaidSVG(apart, { ...THEMES[theme], font: "system-ui", transparent: true });
  const own = svg
    .replaceAll(new RegExp(`<g class="edge-label"[^>]*data-label="${BLANK}">.*?</g>`, "gs"), "")
    // The package names a font that the reader's browser would fetch from elsewhere.
    .replaceAll(/@import url\([^)]*\);/g, "");
  const address = `data:image/svg+xml;base64,${Buffer.from(own).toString("base64")}`;
  return `<img class="diagram ${theme}" alt="Diagram" src="${address}">`;
}

/** Draws ```mermaid blocks when the site is built, so that no page needs a script for them. */
export function drawDiagrams(md: MarkdownRenderer): void {
  const fence = md.renderer.rules.fence;
  if (fence === undefined) throw new Error("the Markdown renderer has no rule for fenced blocks");
  md.renderer.rules.fence = (tokens, index, ...rest) => {
    const token = tokens[index];
    if (token?.info.trim() !== "mermaid") return fence(tokens, index, ...rest);
    return `<p>${picture(token.content, "light")}${picture(token.content, "dark")}</p>\n`;
  };
}
