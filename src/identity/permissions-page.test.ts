import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { CALLER_ROLES, PERMISSIONS } from "./permissions.ts";

it("the reference has the table of permissions as it is", () => {
  const page = readFileSync(new URL("../../docs/reference/protocol.md", import.meta.url), "utf8");
  const head = ["| RPC |", ...CALLER_ROLES.map((role) => ` ${role} |`)].join("");
  const [, after = ""] = page.split(`${head}\n|---|---|---|---|---|\n`);
  const rows = Object.entries(PERMISSIONS).map(([path, row]) => {
    const name = path.slice(1).replace(/^flowctl\.\w+\.v1\./, "");
    return `| \`${name}\` |${CALLER_ROLES.map((role) => (row[role] === "no" ? " |" : ` ${row[role]} |`)).join("")}`;
  });
  expect(after.split("\n\n")[0]).toBe(rows.join("\n"));
});
