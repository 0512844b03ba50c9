import { existsSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import type { MarkdownEnv, MarkdownRenderer } from "vitepress";

interface Link {
  readonly from: string;
  readonly href: string;
  /** The page or file that it leads to. */
  readonly target: string;
  readonly anchor: string;
}

/** Where the files are that are no pages. */
export interface Repository {
  /** Such as `https://github.com/owner/name`. */
  readonly url: string;
  readonly commit: string;
}

/** The id that a repository browser gives a heading, so that one link works on the site and there. */
export function headingId(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "")
    .replaceAll(" ", "-");
}

/**
 * Makes the relative links of the pages work on the site. A link to a page stays one. A link to any other file of the repository
 * leads into the repository at `repository`; where that is undefined, its text stays, without a link. `broken` lists the links
 * whose file or heading does not exist, once all pages are rendered.
 */
export class Links {
  readonly #root: string;
  readonly #isPage: (path: string) => boolean;
  readonly #repository: Repository | undefined;
  readonly #ids = new Map<string, Set<string>>();
  readonly #links = new Map<string, Link>();
  readonly #unlinked = new Set<string>();

  /** `isPage` tells of a path relative to `root` whether it is a page of the site. */
  constructor(root: string, isPage: (path: string) => boolean, repository: Repository | undefined) {
    this.#root = root;
    this.#isPage = isPage;
    this.#repository = repository;
  }

  /** Has every page's links and headings looked at as it is rendered. */
  readonly install = (md: MarkdownRenderer): void => {
    md.core.ruler.push("repository-links", ({ tokens, env }) => {
      const page = this.#pageOf(env as MarkdownEnv);
      const ids = new Set<string>();
      this.#ids.set(page, ids);
      for (const token of tokens) {
        const id = token.type === "heading_open" ? token.attrGet("id") : null;
        if (id !== null) ids.add(id);
        const inline = token.children ?? [];
        for (const [index, child] of inline.entries()) {
          if (child.type !== "link_open" || this.#resolve(page, child)) continue;
          child.tag = "span";
          const close = inline.slice(index).find(({ type }) => type === "link_close");
          if (close !== undefined) close.tag = "span";
        }
      }
    });
  };

  /** One line for each link that leads nowhere. */
  broken(): readonly string[] {
    return [...this.#links.values()].flatMap(({ from, href, target, anchor }) => {
      const at = `${relative(this.#root, from)}: ${href}`;
      if (!existsSync(target)) return [`${at}: ${relative(this.#root, target)} does not exist`];
      const ids = this.#ids.get(target);
      if (anchor === "" || ids?.has(anchor) === true) return [];
      return ids === undefined ? [] : [`${at}: ${relative(this.#root, target)} has no heading #${anchor}`];
    });
  }

  /** Files that pages refer to and that the site has no link to, because the repository's address is not known. */
  get unlinked(): number {
    return this.#unlinked.size;
  }

  /** README.md is the page of its folder, as in a repository browser; the site calls it index.md. */
  #pageOf({ path }: MarkdownEnv): string {
    return path.replace(/(^|\/)index\.md$/, "$1README.md");
  }

  /** Whether it stays a link. */
  #resolve(page: string, token: { attrs: [string, string][] | null }): boolean {
    const href = token.attrs?.find(([name]) => name === "href")?.[1] ?? "";
    if (/^[a-z][a-z+.-]*:/i.test(href)) return true;
    const [path = "", hash = ""] = href.split("#");
    let target = path === "" ? page : resolve(dirname(page), decodeURI(path));
    const isFolder = existsSync(target) && statSync(target).isDirectory();
    const readme = join(target, "README.md");
    if (isFolder && existsSync(readme) && this.#isPage(relative(this.#root, readme))) target = readme;
    this.#links.set(`${page} ${href}`, { from: page, href, target, anchor: decodeURI(hash) });
    if (path === "") return true;
    const inside = relative(this.#root, target);
    if (this.#isPage(inside)) {
      const address = relative(dirname(page), target).replace(/(^|\/)README\.md$/, "$1index.md");
      token.attrs = [["href", `./${address}${hash === "" ? "" : `#${hash}`}`]];
      return true;
    }
    if (this.#repository !== undefined) {
      token.attrs = [
        ["href", `${this.#repository.url}/${isFolder ? "tree" : "blob"}/${this.#repository.commit}/${inside}`],
      ];
      return true;
    }
    this.#unlinked.add(inside);
    token.attrs = [
      ["class", "source"],
      ["title", inside],
    ];
    return false;
  }
}
