import { readdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { defineConfig } from "vitepress";
import { drawDiagrams } from "./diagrams.ts";
import { headingId, Links } from "./links.ts";
import { pagesWithoutPlace, sidebarOf } from "./sidebar.ts";

const root = resolve(import.meta.dirname, "../..");
const docs = join(root, "docs");

/** Whether a file is a page of the site: all of docs/, what stands at the top of the repository, and the pages of examples. */
const isPage = (path: string): boolean => /^(?:[^/]+|docs\/.+|examples\/(?:[^/]+\/)?README)\.md$/.test(path);

const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_SHA: commit } = process.env;
const url = server === undefined || repository === undefined ? undefined : `${server}/${repository}`;
const links = new Links(root, isPage, url === undefined ? undefined : { url, commit: commit ?? "main" });

export default defineConfig({
  title: "flowctl",
  description: "Streaming data pipelines from one Compose-like file, as processes and on Docker",
  srcDir: "..",
  srcExclude: readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !["docs", "examples"].includes(entry.name))
    .map(({ name }) => `${name}/**`),
  cacheDir: join(root, ".cache/vitepress"),
  // A folder's page is its README.md, as in a repository browser.
  rewrites: (page) => page.replace(/(^|\/)README\.md$/, "$1index.md"),
  markdown: {
    anchor: { slugify: headingId },
    config: (md) => {
      links.install(md);
      drawDiagrams(md);
    },
  },
  themeConfig: {
    nav: [
      { text: "Documentation", link: "/docs/" },
      { text: "Tutorial", link: "/docs/tutorial/" },
      { text: "Changes", link: "/CHANGELOG" },
      ...(url === undefined ? [] : [{ text: "Repository", link: url }]),
    ],
    sidebar: sidebarOf(docs),
    outline: [2, 3],
    // The history of changes names everything, and would be the answer to every search.
    search: {
      provider: "local",
      options: {
        _render: (text, env, md) => (env.relativePath === "CHANGELOG.md" ? "" : md.render(text, env)),
      },
    },
  },
  buildEnd: ({ pages }) => {
    const lost = pagesWithoutPlace(
      pages.filter((page) => page.startsWith("docs/")).map((page) => relative("docs", page)),
    );
    const problems = [
      ...links.broken(),
      ...lost.map((page) => `docs/${page} is in no group of docs/.vitepress/sidebar.ts`),
    ];
    if (problems.length > 0) throw new Error(`The site has problems:\n${problems.join("\n")}`);
    if (links.unlinked > 0)
      console.log(`Without GITHUB_REPOSITORY, the names of ${links.unlinked} files that are no pages are not links.`);
  },
});
