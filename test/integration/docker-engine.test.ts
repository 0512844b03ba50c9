import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { statInContainer } from "../../src/drivers/docker/container/containers.ts";
import { createDockerDriver } from "../../src/drivers/docker/driver.ts";
import { connectEngine } from "../../src/drivers/docker/engine/engine.ts";
import { fixture, installation } from "../conformance/docker-fixture.ts";
import { component, deploymentOf, pipelineOf, STAYS } from "../conformance/driver-pipelines.ts";
import { eventually, World } from "../conformance/driver-world.ts";

beforeAll(() => fixture.setUp());
afterAll(() => fixture.tearDown());

let folder: string;
let socket: string;
let server: Server | undefined;
let open: Socket[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-engine-"));
  socket = join(folder, "docker.sock");
});
afterEach(async () => {
  await goAway();
  await rm(folder, { recursive: true });
});

/** A socket in the place of the engine's, each of whose connections is handled by `onConnection`. */
async function listen(onConnection: (socket: Socket) => void): Promise<void> {
  server = createServer((connection) => {
    open.push(connection.on("error", () => undefined));
    onConnection(connection);
  }).listen(socket);
  await once(server, "listening");
}

/** The real engine behind a socket that can be taken away. */
function relay(connection: Socket): void {
  const engine = connect("/var/run/docker.sock").on("error", () => connection.destroy());
  open.push(engine);
  connection.pipe(engine).pipe(connection);
}

/** Ends every connection, as an engine does that is killed. */
async function goAway(): Promise<void> {
  for (const connection of open) connection.destroy();
  open = [];
  if (server?.listening) {
    server.close();
    await once(server, "close");
  }
}

const driver = () =>
  createDockerDriver({ ...installation, environment: { ...process.env, DOCKER_HOST: `unix://${socket}` } });
const { signal } = new AbortController();

describe("an engine that does not answer", () => {
  it("is told from one that does, with what to do about it", async () => {
    expect(await driver().probe(signal)).toMatchObject({
      available: false,
      reason: expect.stringContaining(socket),
      fix: expect.stringContaining("Start Docker"),
    });
    await listen(relay);
    expect(await driver().probe(signal)).toMatchObject({ available: true, detail: expect.stringContaining(socket) });
  });

  it("is not waited for without end", async () => {
    await listen(() => undefined);
    expect(await driver().probe(signal)).toMatchObject({ available: false, fix: expect.any(String) });
  });

  it("is not waited for any longer when the caller gives up", async () => {
    const caller = new AbortController();
    await listen((connection) => void connection.once("data", () => caller.abort()));
    const observing = driver().observe("p", caller.signal);
    await expect(observing).rejects.toMatchObject({ kind: "cancelled" });
  });

  it("makes every other call fail as unavailable", async () => {
    await expect(driver().observe("p", signal)).rejects.toMatchObject({
      code: "docker/unreachable",
      kind: "unavailable",
    });
  });
});

describe("an engine that goes away", () => {
  it("makes a followed log fail instead of seeming to end", async () => {
    await using world = new World(fixture);
    await world.up(deploymentOf(pipelineOf(world.name, [component("a", STAYS, fixture.settings)])));
    await listen(relay);
    const texts: string[] = [];
    const following = (async () => {
      for await (const { text } of driver().logs(world.name, { select: [], follow: true }, signal)) texts.push(text);
    })();
    following.catch(() => undefined);
    await eventually(async () => expect(texts).toContain("up"));
    await goAway();
    await expect(following).rejects.toMatchObject({ name: "FlowctlError", kind: "unavailable" });
  });

  it("makes the stream of events fail", async () => {
    await using world = new World(fixture);
    await listen(relay);
    const types: string[] = [];
    const watching = (async () => {
      for await (const { type } of driver().events(world.name, signal)) types.push(type);
    })();
    watching.catch(() => undefined);
    await world.up(deploymentOf(pipelineOf(world.name, [])));
    await eventually(async () => expect(types).toContain("started"));
    await goAway();
    await expect(watching).rejects.toMatchObject({ name: "FlowctlError", kind: "unavailable" });
  });
});

describe("a container that is being removed", () => {
  it("has no file to look at, rather than an error that fails the command of another pipeline", async () => {
    const engine = await connectEngine(process.env);
    const answers = new Set<string>();
    // The engine refuses for a moment only, between the start of the removal and its end.
    for (let round = 0; round < 30; round++) {
      const container = await engine.docker.createContainer({ Image: fixture.settings.image });
      let isRemoved = false;
      const removing = container.remove({ v: true, force: true }).finally(() => {
        isRemoved = true;
      });
      const look = async (): Promise<void> => {
        while (!isRemoved) {
          const file = await statInContainer(engine, container.id, "/etc/passwd", signal);
          answers.add(file === undefined ? "gone" : "there");
        }
      };
      await Promise.all([removing, look(), look(), look()]);
    }
    expect([...answers]).toContain("gone");
  });
});
