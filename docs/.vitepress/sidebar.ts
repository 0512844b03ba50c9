import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DefaultTheme } from "vitepress";

/** The pages of each group, relative to docs/, in the order to read them in; a folder stands for all of its pages. */
const GROUPS: readonly (readonly [group: string, pages: readonly string[]])[] = [
  ["Tutorial", ["tutorial/README.md", "tutorial/"]],
  ["Concepts", ["concepts/README.md", "concepts/events-and-positions.md", "delivery.md", "architecture.md"]],
  [
    "How-to guides",
    [
      "guides/pipeline-file.md",
      "guides/running-a-pipeline.md",
      "guides/changing-a-running-pipeline.md",
      "guides/permissions.md",
      "guides/secrets.md",
      "guides/identity.md",
      "guides/writing-a-component.md",
      "guides/from-compose.md",
      "guides/tracing-an-event.md",
      "guides/troubleshooting.md",
    ],
  ],
  ["Components", ["components/README.md", "components/"]],
  ["Reference", ["reference/file.md", "reference/cli.md", "reference/protocol.md", "performance.md"]],
  ["Decisions", ["decisions/README.md"]],
];

/** Groups that are closed until they are asked for. */
const COLLAPSED = ["Components"];

/** The site's navigation, made from the pages in `docs`: each is called by its heading. */
export function sidebarOf(docs: string): DefaultTheme.SidebarItem[] {
  const item = (page: string): DefaultTheme.SidebarItem => ({
    text: /^# (.+)$/m.exec(readFileSync(join(docs, page), "utf8"))?.[1]?.replaceAll("`", "") ?? page,
    link: `/docs/${page.replace(/README\.md$/, "").replace(/\.md$/, "")}`,
  });
  const pagesOf = (page: string): readonly string[] =>
    page.endsWith("/")
      ? readdirSync(join(docs, page))
          .filter((name) => name.endsWith(".md") && name !== "README.md")
          .sort()
          .map((name) => `${page}${name}`)
      : [page];
  return GROUPS.map(([text, pages]) => ({
    text,
    collapsed: COLLAPSED.includes(text),
    items: pages.flatMap(pagesOf).map(item),
  }));
}

/** Pages that the navigation does not lead to, of those given relative to docs/. Single decisions are found by their index. */
export function pagesWithoutPlace(pages: readonly string[]): readonly string[] {
  const listed = GROUPS.flatMap(([, entries]) => entries);
  return pages.filter(
    (page) =>
      page !== "README.md" &&
      !page.startsWith("decisions/") &&
      !listed.some((entry) => page === entry || (entry.endsWith("/") && page.startsWith(entry))),
  );
}
