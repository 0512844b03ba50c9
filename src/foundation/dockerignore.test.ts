import { describe, expect, it } from "vitest";
import { compileDockerignore } from "./dockerignore.ts";

function kept(text: string, paths: readonly string[]): string[] {
  const { ignores } = compileDockerignore(text);
  return paths.filter((path) => !ignores(path));
}

describe("a .dockerignore", () => {
  it.each([
    ["leaves out a name at the root only", "log", ["log", "a/log"], ["a/log"]],
    ["leaves out everything below a folder", "node_modules", ["node_modules/a/b", "src/a"], ["src/a"]],
    ["reads * within one folder", "*.md", ["a.md", "b/a.md"], ["b/a.md"]],
    ["reads ** through all folders", "**/*.md", ["a.md", "b/c/a.md", "a.mdx"], ["a.mdx"]],
    ["reads ** before a name as any folders", "**b", ["b", "x/b", "ab", "x/ab"], ["ab", "x/ab"]],
    ["reads ** at the end as everything", "a/**", ["a", "a/b", "a/b/c"], ["a"]],
    ["reads ** in the middle", "a/**/z", ["a/z", "a/b/c/z", "b/z"], ["b/z"]],
    ["reads ? as one character", "a?", ["ab", "abc", "a"], ["abc", "a"]],
    ["reads character classes", "[ab].txt", ["a.txt", "c.txt"], ["c.txt"]],
    ["takes back by !", "*.md\n!README.md", ["a.md", "README.md"], ["README.md"]],
    ["lets the last match decide", "!README.md\n*.md", ["README.md"], []],
    [
      "takes back below a folder",
      "docs\n!docs/keep",
      ["docs/a", "docs/keep", "docs/keep/b"],
      ["docs/keep", "docs/keep/b"],
    ],
    ["ignores comments, blanks and spaces around", "# x\n\n  a  \r\nb/", ["a", "b/c", "# x"], ["# x"]],
    ["reads leading slashes and dots as the root", "/a\n./b", ["a", "b", "c/a"], ["c/a"]],
    ["takes dots literally", "a.b", ["a.b", "axb"], ["axb"]],
    ["leaves everything out", "*\n!src", ["a", "src/x", ".env"], ["src/x"]],
    ["matches nothing by a broken pattern", "[a", ["[a", "a"], ["[a", "a"]],
  ])("%s", (_, text, paths, expected) => expect(kept(text, paths)).toEqual(expected));

  it("says whether it has exceptions, for which left-out folders have to be searched", () => {
    expect(compileDockerignore("a\n!a/b").hasExceptions).toBe(true);
    expect(compileDockerignore("a").hasExceptions).toBe(false);
  });
});
