import { execFile } from "node:child_process";
import { chmod, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { openKept } from "../../src/cli/up/kept.ts";
import { httpToken } from "../../src/client/access-file.ts";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { buildProgram, eventually, type Instance, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";
import { driverHere } from "./flowctl-here.ts";
import { filesIn, inspected, leaks, type Place, plantValues, prints, processes, storeOf } from "./planted-secrets.ts";
import type { Ended } from "./run-program.ts";

const run = promisify(execFile);

/** A source that cannot reach what it polls, a processor that fails on every event, and a sink that works. */
const pipeline = (password: string, { where = "payload.missing.deeper > 0", user = "" } = {}): string => `
sources:
  poll:
    uses: http-poll
    with:
      url: "http://${user}127.0.0.1:1/things?key=${password}"
      retries: 1
      header_secrets: { Authorization: from_file }
    secrets: [from_file, from_program]
  numbers: { uses: generator, with: { rate: 10 } }
processors:
  breaks:
    uses: filter
    inputs: [numbers, poll]
    with: { where: ${where} }
    secrets: [from_variable, { source: from_env_file, target: /srv/elsewhere }]
sinks:
  works: { uses: file, inputs: [numbers], with: { path: ./out.jsonl }, secrets: [from_program] }
  rest: { uses: discard, inputs: [breaks] }
secrets:
  from_file: { file: ./token.txt }
  from_variable: { environment: PLANTED_VARIABLE }
  from_env_file: { environment: IN_ENV_FILE }
  from_program: { command: [./print-token, --field, token] }
`;

const program = (value: string, code = 0): string =>
  `#!/bin/sh\nset -x\n/bin/echo ${value}\necho asked to sign in >&2\nexit ${code}\n`;

beforeAll(buildProgram);

describe.each(driversUnderTest())("secrets on %s", (driver) => {
  it("can be read in their files alone, whatever goes wrong, and nowhere once the pipeline is stopped", async () => {
    const values = plantValues("file", "variable", "env file", "unused in env file", "program");
    const { password } = plantValues("password");
    await using scenario = await Scenario.on(driver, pipeline(password));
    const said: Place[] = [];
    const heard = (args: readonly string[], { code, stdout, stderr }: Ended): number => {
      said.push([`what \`flowctl ${args.join(" ")}\` printed`, stdout + stderr]);
      return code;
    };
    const flowctl = async (...args: string[]): Promise<number> => heard(args, await scenario.flowctl(...args));
    const look = async (...args: string[]): Promise<number> => heard(args, await scenario.flowctl(...args));
    const killed = async (pattern: RegExp, ...args: string[]): Promise<void> => {
      const running = scenario.start(...args);
      await running.until(pattern);
      running.child.kill("SIGKILL");
      heard(args, await running.ended);
    };

    scenario.env.PLANTED_VARIABLE = values.variable;
    await scenario.write("token.txt", `${values.file}\n`);
    const inEnvFile = { IN_ENV_FILE: values["env file"], PASSWORD: password, UNUSED: values["unused in env file"] };
    await scenario.write(
      ".env",
      Object.entries(inEnvFile)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
    );
    const printToken = join(scenario.folder, "print-token");
    await scenario.write("print-token", program(values.program, 3));
    await chmod(printToken, 0o755);

    // A program that fails after it has printed the value, to its standard error as well.
    expect(await flowctl("up", "-d")).not.toBe(0);
    expect(said.at(-1)?.[1]).toContain("asked to sign in");
    await scenario.write("print-token", program(values.program));
    for (const command of ["validate", "graph", "config"]) expect(await look(command), command).toBe(0);
    const config = said.pop() as Place;
    expect(await flowctl("up", "-d", "--log-level", "debug")).toBe(0);
    await eventually("events", async () => (await scenario.lines("out.jsonl")).length > 0);
    await eventually("crashes", async () => {
      const crashed = (await scenario.instances()).filter(({ restarts }) => restarts > 0);
      return ["poll", "breaks"].every((id) => crashed.some(({ component }) => component === id));
    });
    // Wrong settings, a sink that is killed, and commands that are killed.
    for (const wrong of [{ where: '"nothing that is =="' }, { user: "someone:${PASSWORD}@" }]) {
      await scenario.pipeline(pipeline("${PASSWORD}", wrong));
      expect(await flowctl("up", "-d")).not.toBe(0);
    }
    await scenario.pipeline(pipeline(password));
    const sink = (await scenario.instances()).find(({ component }) => component === "works") as Instance;
    await crash(scenario, sink);
    await killed(/Replac|Recreat|Stopping/, "up", "-d", "--force-recreate");
    expect(await flowctl("up", "-d", "--log-level", "debug")).toBe(0);
    await eventually("events again", async () => {
      const { stdout } = await scenario.flowctl("logs", "poll", "breaks", "--json");
      return stdout.includes("breaks-1") && stdout.includes("poll-1");
    });

    const looks = [
      "ps",
      "ps --json",
      "status",
      "status --json",
      "events --json",
      "inspect works",
      "inspect poll --json",
    ];
    for (const command of [...looks, "logs", "logs control-plane", "up --dry-run --json"]) {
      heard([command], await scenario.flowctl(...command.split(" ")));
    }
    expect(await flowctl("access", "grant", "reader", "--json")).toBe(0);
    expect(await flowctl("access", "list", "--json")).toBe(0);
    const tokens = await tokensOf(scenario);
    const served = await everythingServed(scenario);
    const running = await everything(scenario);
    // Nobody guesses them by a hash, which is what is kept of them.
    const given = leaks([...said, ...served.places, ...running], tokens);
    expect(given.filter((leak) => !leak.includes(": SHA-256 in "))).toEqual([]);
    expect(leaks([config], values)).toEqual([]);
    expect(leaks([...said, ...served.places, ...running], values)).toEqual([]);
    // A setting is no secret: it is where the component gets it from, in what shows settings, and nowhere else.
    const shows = /FLOWCTL_COMPONENT_ID=poll|"owner":"poll"|`flowctl inspect poll/;
    const elsewhere = [...said, ...running].filter((place) => !shows.test(place.join("\n")));
    expect(leaks([...elsewhere, ...served.places], { password })).toEqual([]);
    expect(leaks([["what is kept", JSON.stringify(served.kept)]], values)).toEqual([]);

    if (driver === "docker") {
      const container = `${scenario.name}-breaks-1`;
      expect(await prints(`docker export ${container}`, values)).toBe(false);
      expect(await prints(`docker cp ${container}:/run/secrets -`, values)).toBe(true);
    } else {
      const folder = join(scenario.folder, ".home/pipelines", scenario.name, "secrets");
      expect(leaks(await filesIn(folder), values).length).toBeGreaterThan(0);
    }
    expect(await flowctl("stop")).toBe(0);
    expect(leaks([...said, ...(await everything(scenario, { stopped: true }))], values)).toEqual([]);
    expect(await flowctl("start")).toBe(0);
    await killed(/Stopp|Remov/, "down");
    expect(await flowctl("down")).toBe(0);
    expect(leaks([...said, ...(await filesIn(join(scenario.folder, ".home")))], values)).toEqual([]);
    expect(await flowctl("down", "-v")).toBe(0);
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  }, 300_000);
});

/** What opens the pipeline's pages: to the owner, to whom they are granted, and to one browser. */
async function tokensOf(scenario: Scenario): Promise<Readonly<Record<string, string>>> {
  const file = await readFile(join(scenario.folder, `${scenario.name}-reader.access.json`), "utf8");
  const { token = "", key = "" } = JSON.parse(file) as Readonly<Record<string, string>>;
  const url = await scenario.succeed("access", "url");
  const owner = (await scenario.succeed("access", "token")).trim();
  return { owner, token, key: key.split("\n")[1] ?? "", code: url.trim().split("/").at(-1) ?? "" };
}

async function crash({ driver }: Scenario, { ref }: Instance): Promise<void> {
  const pid = driver === "process" ? ref : (await run("docker", ["inspect", "-f", "{{.State.Pid}}", ref])).stdout;
  process.kill(Number(pid), "SIGKILL");
}

interface Served {
  /** What the servers of the pipeline answer. */
  readonly places: readonly Place[];
  /** What is kept to go back to, opened with the key. */
  readonly kept: unknown;
}

async function everythingServed(scenario: Scenario): Promise<Served> {
  const endpoint = await driverHere(scenario.driver, scenario.env).controlPlane(
    scenario.name,
    AbortSignal.timeout(10_000),
  );
  const authorization = endpoint?.identity === undefined ? "" : `Bearer ${httpToken(endpoint.identity)}`;
  const instances = JSON.parse(await scenario.succeed("ps", "--json")) as Instance[];
  const addresses = instances.flatMap(({ ports }) => ports.map((port) => port.split("->")));
  const texts = addresses
    .filter(([, what]) => what === "http" || what === "health")
    .flatMap(([address]) =>
      ["/metrics", "/api/pipeline", "/api/events?after=0"].map((path) => `http://${address}${path}`),
    )
    .map(
      async (url): Promise<Place> => [
        url,
        await fetch(url, { headers: { authorization } }).then(
          (answer) => answer.text(),
          () => "",
        ),
      ],
    );
  const client = connectControlPlane(endpoint?.grpc ?? "", endpoint?.identity);
  try {
    const { latest } = await client.keptPipeline(AbortSignal.timeout(10_000));
    const key = await readFile(join(scenario.folder, ".home/hash.key"));
    const kept = latest && openKept(latest, key);
    expect(kept?.pipeline.name).toBe(scenario.name);
    const places = await Promise.all(texts);
    for (const path of ["/metrics", "/api/pipeline"]) {
      expect(places.some(([url, text]) => url.endsWith(path) && text.includes("breaks"))).toBe(true);
    }
    return { places, kept };
  } finally {
    client.close();
  }
}

/** All that can be read on this machine of a pipeline; the files of secrets are left out unless it is stopped. */
async function everything(scenario: Scenario, { stopped = false } = {}): Promise<readonly Place[]> {
  const home = join(scenario.folder, ".home");
  const secrets = join(home, "pipelines", scenario.name, "secrets");
  const places = [
    ...(await filesIn(home, (path) => !stopped && path.startsWith(secrets))),
    ...(await processes()),
    ...(await storeOf(scenario)),
  ];
  return scenario.driver === "docker" ? [...places, ...(await inspected(scenario.name))] : places;
}
