import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FlowctlError } from "../foundation/errors.ts";
import { CliHarness, type CliRun } from "./cli-harness.fake.ts";
import { DescribedCommand } from "./command.ts";
import { buildProgram } from "./program.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
processors: { even: { uses: filter, inputs: [numbers], with: { where: "true" }, deploy: { replicas: 2 } } }
sinks: { out: { uses: discard, inputs: [even] } }
`;

let cli: CliHarness;

beforeEach(async () => {
  cli = await CliHarness.create({ "flowctl.yaml": FILE });
  await cli.secure("demo");
  expect(await cli.run("up", "-d", "--quiet")).toMatchObject({ code: 0 });
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
});

const pathOf = (name: string): string => join(cli.folder, name);
const documentIn = async (name: string) => JSON.parse(await readFile(pathOf(name), "utf8")) as Record<string, string>;

/** An access file, in a folder of somebody who has neither the pipeline file nor a driver. */
async function granted(role: "reader" | "operator"): Promise<string> {
  const { code } = await cli.run("access", "grant", "anna", "--role", role, "-o", "anna.json");
  expect(code).toBe(0);
  const content = await readFile(pathOf("anna.json"), "utf8");
  await cli.write("elsewhere/anna.json", content);
  await chmod(pathOf("elsewhere/anna.json"), 0o600);
  cli.cwd = pathOf("elsewhere");
  for (const driver of cli.drivers) driver.state.clear();
  return "anna.json";
}

/** Every line of a secret of an access file. */
async function secretsIn(name: string): Promise<readonly string[]> {
  const { token = "", key = "" } = await documentIn(name);
  return [token, ...key.trim().split("\n").slice(1, -1)];
}

const said = ({ stdout, stderr }: CliRun): string => stdout + stderr;

describe("access grant", () => {
  it("writes all that is needed into a file that only its owner can read, and says none of it", async () => {
    for (const [name, ...flags] of [["anna"], ["bert", "--role", "operator"], ["json", "--json"]] as const) {
      const run = await cli.run("access", "grant", name, ...flags);
      const file = `demo-${name}.access.json`;
      expect([run.code, run.stdout.includes(pathOf(file))]).toEqual([0, true]);
      expect((await stat(pathOf(file))).mode & 0o777).toBe(0o600);
      expect(await documentIn(file)).toMatchObject({
        ...{ flowctl_access: 1, pipeline: "demo", driver: "process", name },
        ...{ role: name === "bert" ? "operator" : "reader", grpc: "127.0.0.1:8080", http: "http://127.0.0.1:8081" },
        ...{ token: expect.stringMatching(/^flowctl_[\w-]{43}$/), ca: cli.controlPlane.authority?.certificate },
      });
      for (const secret of await secretsIn(file)) expect(said(run)).not.toContain(secret);
    }
    expect(cli.controlPlane.grants.map(({ name, role }) => `${name} ${role}`)).toEqual([
      ...["anna reader", "bert operator", "json reader"],
    ]);
  });

  it("grants nothing where the file is there already, or cannot be written", async () => {
    await writeFile(pathOf("mine"), "mine");
    for (const file of ["mine", "missing/file"]) {
      const { code, stderr } = await cli.run("access", "grant", "anna", "-o", file);
      expect([code, stderr]).toEqual([6, expect.stringContaining("access/cannot-write")]);
    }
    expect(await readFile(pathOf("mine"), "utf8")).toBe("mine");
    const again = await cli.run("access", "grant", "anna", "-o", "mine");
    expect(again.stderr).toContain("remove the file and run `flowctl access revoke anna` first");
    await writeFile(pathOf("left"), "");
    const { code, stderr } = await cli.run("access", "grant", "anna", "-o", "left");
    expect([code, stderr]).toEqual([
      6,
      expect.stringContaining("Remove the file, and grant access again: it is empty"),
    ]);
    expect(cli.controlPlane.grants).toEqual([]);
  });

  it("leaves no file where it is refused", async () => {
    const message = "anna has access already";
    cli.controlPlane.grantRefusal = new FlowctlError({ code: "access/name-taken", kind: "conflict", message });
    expect((await cli.run("access", "grant", "anna")).code).toBe(6);
    await expect(stat(pathOf("demo-anna.access.json"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("access", () => {
  it("lists who has it, and revokes it", async () => {
    expect((await cli.run("access", "list")).stderr).toContain("Nobody but the owner has access to demo");
    await cli.run("access", "grant", "anna");
    expect((await cli.run("access", "list")).stdout).toMatch(
      /^NAME +ROLE +GRANTED +BY\nanna +reader +1970-01-01T00:00:01.000Z +owner\n$/,
    );
    const json = await cli.run("access", "list", "--json");
    expect(JSON.parse(json.stdout)).toEqual([{ name: "anna", role: "reader", grantedAt: 1_000, grantedBy: "owner" }]);
    expect((await cli.run("access", "revoke", "anna")).code).toBe(0);
    expect(cli.controlPlane.grants).toEqual([]);
  });

  it("prints an address that opens once, alone on standard output", async () => {
    expect(await cli.run("access", "url")).toMatchObject({
      ...{ code: 0, stdout: "http://127.0.0.1:8081/login/CODE\n", stderr: expect.stringContaining("once, within 5m") },
    });
  });

  it("prints the token, alone or as a header", async () => {
    const { stdout } = await cli.run("access", "token");
    expect(stdout).toMatch(/^flowctl_[\w-]{43}\n$/);
    expect((await cli.run("access", "token", "--header")).stdout).toBe(`Authorization: Bearer ${stdout}`);
  });

  it("replaces the owner's certificate", async () => {
    expect((await cli.run("access", "rotate")).code).toBe(0);
    expect(cli.controlPlane.rotated).toBe(1);
  });

  it("is everybody's with --insecure, which is said", async () => {
    for (const driver of cli.drivers) driver.identity = undefined;
    expect(await cli.run("access", "url")).toMatchObject({
      ...{ code: 0, stdout: "http://127.0.0.1:8081/\n", stderr: expect.stringContaining("--insecure") },
    });
    expect((await cli.run("access", "token")).stderr).toContain("access/insecure");
    expect((await cli.run("access", "grant", "anna")).code).not.toBe(0);
    await expect(stat(pathOf("demo-anna.access.json"))).rejects.toMatchObject({ code: "ENOENT" });
    expect(cli.controlPlane.grants).toEqual([]);
  });
});

describe("a reader", () => {
  it("looks with nothing but an access file, however it is named", async () => {
    const file = await granted("reader");
    expect((await cli.run("ps", "--access", file)).stdout).toMatch(/^even-2 +processor +healthy/m);
    expect((await cli.run("--access", file, "ps", "demo")).stdout).toMatch(/^control-plane +control-plane +healthy/m);
    cli.env.FLOWCTL_ACCESS = file;
    expect((await cli.run("status")).stdout).toMatch(/^demo running\n/);
    expect((await cli.run("status")).stdout).not.toContain("missing");
    for (const args of [["events"], ["inspect", "even-1"], ["wait", "--state", "healthy"], ["access", "url"]]) {
      expect([args, (await cli.run(...args)).code]).toEqual([args, 0]);
    }
    const { nodes, edges } = JSON.parse((await cli.run("graph", "--json")).stdout) as Record<string, unknown[]>;
    expect([nodes?.[1], edges?.[0]]).toMatchObject([
      { id: "even", replicas: 2 },
      { from: "numbers", to: "even" },
    ]);
    expect((await cli.run("graph")).stdout).toMatch(/^● +numbers +source\n│\n● +even +processor +×2\n/);
    expect((await cli.run("graph", "--format", "mermaid")).stdout).toContain('n1["even ×2"]');
    const { token } = await documentIn("elsewhere/anna.json");
    expect((await cli.run("access", "token")).stdout).toBe(`${token}\n`);
  });

  it.each([
    ...[["up"], ["run"], ["down"], ["stop"], ["start"], ["restart", "even"], ["scale", "even=3"]],
    ...[
      ["dead-letters", "replay", "--all"],
      ["access", "list"],
      ["access", "grant", "bert"],
    ],
    ...[
      ["access", "revoke", "anna"],
      ["access", "rotate"],
    ],
  ])("may not run %s %s", async (...args) => {
    cli.env.FLOWCTL_ACCESS = await granted("reader");
    const before = { desired: [...cli.controlPlane.desired], applied: cli.controlPlane.applied };
    const { code, stderr } = await cli.run(...args.filter((arg) => arg !== undefined));
    expect([code, stderr]).toEqual([4, expect.stringContaining("identity/not-permitted")]);
    expect(stderr).toContain("anna is a reader of demo");
    expect(stderr).toMatch(/fix\W.*owner of demo/);
    expect({ desired: cli.controlPlane.desired, applied: cli.controlPlane.applied }).toEqual(before);
    expect(cli.controlPlane).toMatchObject({ rotated: 0, grants: [{ name: "anna" }] });
  });

  it("is told in one line why there are no logs", async () => {
    cli.env.FLOWCTL_ACCESS = await granted("reader");
    const { code, stderr } = await cli.run("logs");
    expect(code).toBe(4);
    expect(stderr).toMatch(/`flowctl logs` needs the process driver/);
  });

  it("still validates files, which are nobody's but theirs", async () => {
    cli.env.FLOWCTL_ACCESS = await granted("reader");
    await cli.write("elsewhere/flowctl.yaml", FILE);
    for (const command of ["validate", "config"]) expect((await cli.run(command)).code).toBe(0);
  });
});

describe("an operator", () => {
  it("gives access to others, and is told what needs the driver", async () => {
    cli.env.FLOWCTL_ACCESS = await granted("operator");
    expect((await cli.run("access", "grant", "bert")).code).toBe(0);
    expect((await stat(pathOf("elsewhere/demo-bert.access.json"))).mode & 0o777).toBe(0o600);
    expect((await cli.run("access", "list")).stdout).toContain("bert");
    expect((await cli.run("access", "rotate")).code).toBe(0);
    for (const command of ["up", "down", "logs", "dead-letters list"]) {
      const { code, stderr } = await cli.run(...command.split(" "));
      expect([code, stderr]).toEqual([4, expect.stringContaining("cli/access-not-enough")]);
    }
  });
});

describe("an access file", () => {
  it("is for its own pipeline alone", async () => {
    const file = await granted("reader");
    for (const args of [["-p", "other"], ["other"]]) {
      const { code, stderr } = await cli.run("status", "--access", file, ...args);
      expect([code, stderr]).toEqual([2, expect.stringContaining("cli/other-pipeline")]);
    }
  });

  it("is said to be readable by others", async () => {
    const file = await granted("reader");
    expect((await cli.run("status", "--access", file)).stderr).toBe("");
    await chmod(pathOf("elsewhere/anna.json"), 0o640);
    expect((await cli.run("status", "--access", file)).stderr).toMatch(/^warning: .* can be read by other users/);
  });

  it.each([
    ["nothing", () => ""],
    ["half of one", (text: string) => text.slice(0, text.length / 2)],
    ["no object", () => "[]"],
    ["another version", (text: string) => text.replace('"flowctl_access": 1', '"flowctl_access": 2')],
    ["another role", (text: string) => text.replace('"role": "reader"', '"role": "operator"')],
    ["another pipeline", (text: string) => text.replace('"pipeline": "demo"', '"pipeline": "other"')],
    ["an address of another kind", (text: string) => text.replace('"grpc": "', '"grpc": "unix:')],
    ["an address with a path", (text: string) => text.replace(/("http": ".*)"/, '$1/x"')],
    ["a name that a terminal obeys", (text: string) => text.replace('"name": "anna"', '"name": "\\u001b[2J"')],
    ["no key", (text: string) => text.replace(/"key": ".*"/, '"key": ""')],
    [
      "a key that does not fit",
      (text: string) => text.replace(/("key": "-----BEGIN [A-Z ]+-----\\n.{40})..../, "$1AAAA"),
    ],
  ])("that holds %s is refused, without a word of what it holds", async (_what, change) => {
    const file = await granted("reader");
    const text = await readFile(pathOf("elsewhere/anna.json"), "utf8");
    const secrets = await secretsIn("elsewhere/anna.json");
    await writeFile(pathOf("elsewhere/anna.json"), change(text));
    const run = await cli.run("status", "--access", file);
    expect([run.code, run.stderr]).toEqual([3, expect.stringContaining("access/damaged-file")]);
    for (const secret of secrets) expect(said(run)).not.toContain(secret);
  });

  it("whose address nobody answers at says what may have become of it", async () => {
    const file = await granted("reader");
    cli.controlPlane.away = true;
    const { code, stderr } = await cli.run("status", "--access", file);
    expect([code, stderr]).toEqual([4, expect.stringMatching(/fix +Ask the owner of demo whether it runs, and where/)]);
  });

  it.each([["status"], ["ps"], ["access", "list"]])(
    "whose access has ended says so, and whom to ask: %s %s",
    async (...args) => {
      const file = await granted("operator");
      const refuse = async (): Promise<never> => {
        throw new FlowctlError({
          code: "identity/revoked",
          kind: "unauthenticated",
          message: "no",
          fix: "Run it again",
        });
      };
      const client = cli.controlPlane.client();
      cli.controlPlane.client = () => ({ ...client, getPipeline: refuse, listAccess: refuse });
      const { code, stderr } = await cli.run(...args.filter((arg) => arg !== undefined), "--access", file);
      expect([code, stderr]).toEqual([
        4,
        expect.stringContaining(
          "error: The access of anna to demo, as operator, was revoked, or replaced by a newer file\n",
        ),
      ]);
      expect(stderr).toContain("ask the owner of demo for another one");
      expect(stderr).toContain("code identity/revoked");
      expect(stderr).not.toContain("Run it again");
    },
  );

  it("that is not there is never passed over", async () => {
    cli.env.FLOWCTL_ACCESS = "missing.json";
    for (const command of ["status", "ps", "up", "down"]) {
      const { code, stderr } = await cli.run(command);
      expect([command, code, stderr]).toEqual([command, 3, expect.stringContaining("access/unreadable-file")]);
    }
  });
});

/** Those that are about files or this machine, and not about what runs. */
const ABOUT_FILES = [
  "config",
  "dead-letters list",
  "dead-letters show",
  "doctor",

  "validate",
];

it("every command that names a pipeline says what it needs of whoever has an access file", () => {
  const program = buildProgram({
    deps: cli.dependencies(process.stdout, process.stderr),
    finish: () => undefined,
  });
  const unsaid = (command: Command, path: readonly string[]): readonly string[] => {
    const names = command.options.some(({ long }) => long === "--project-name");
    const says = command instanceof DescribedCommand && command.text.withAccess !== undefined;
    const inner = command.commands.flatMap((child) => unsaid(child, [...path, child.name()]));
    return names && !says ? [path.join(" "), ...inner] : inner;
  };
  expect(unsaid(program, []).filter((path) => !ABOUT_FILES.includes(path) && !path.startsWith("service "))).toEqual([]);
});

describe("up --insecure", () => {
  it.each([
    ["--metrics token", ["--metrics", "token"], {}],
    ["FLOWCTL_METRICS", [], { FLOWCTL_METRICS: "token" }],
  ])(
    "refuses a token for /metrics that %s asks for, as there are none, before anything starts",
    async (_, flags, env) => {
      const [driver] = cli.drivers;
      const before = driver?.applied.length;
      Object.assign(driver?.capabilities ?? {}, { loopback: true });
      cli.env = { ...cli.env, ...env };
      const { code, stderr } = await cli.run("up", "-d", "--insecure", ...flags);
      expect([code, driver?.applied.length]).toEqual([2, before]);
      expect(stderr).toContain("code cli/metrics-insecure");
    },
  );
});
