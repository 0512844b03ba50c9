import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LogLine, ObservedResource } from "../../src/drivers/driver.ts";
import type { DriverFixture } from "./driver-fixture.ts";
import { follow, upUntilKilled, watch } from "./driver-observers.ts";
import { component, deploymentOf, pipelineOf, STAYS, STUBBORN } from "./driver-pipelines.ts";
import { describeProject } from "./driver-project.ts";
import { describeUnchanged } from "./driver-unchanged.ts";
import { eventually, World } from "./driver-world.ts";

/**
 * What every driver has to do, tested against the real engine behind it. `fixtureModule` is the URL of a module that
 * exports `fixture`, so that a second process can be made that has the same driver.
 */
export function describeDriver(name: string, fixture: DriverFixture, fixtureModule: string): void {
  describe(`the ${name} driver`, () => {
    const { settings } = fixture;
    const capabilities = fixture.connect().capabilities;
    beforeAll(() => fixture.setUp());
    afterAll(() => fixture.tearDown());

    const stays = (id = "a", more = {}) => component(id, STAYS, { ...settings, ...more });

    describe("preparing", () => {
      it("says that its engine answers", async () => {
        await using world = new World(fixture);
        expect(await world.driver.probe(world.signal)).toMatchObject({ available: true });
      });

      it("gives the same hashes for the same deployment, on every connection", async () => {
        await using world = new World(fixture);
        const deployment = deploymentOf(pipelineOf(world.name, [stays()]), { key: "hush" });
        const hashes = (resources: Awaited<ReturnType<World["prepare"]>>) =>
          resources.map(({ key, hash }) => [key, hash]);
        expect(hashes(await world.prepare(deployment, fixture.connect()))).toEqual(
          hashes(await world.prepare(deployment)),
        );
      });

      it("changes the hash of a component whose settings change, names the part, and leaves the others alone", async () => {
        await using world = new World(fixture);
        const before = await world.prepare(deploymentOf(pipelineOf(world.name, [stays("a"), stays("b")])));
        const changed = stays("b", { environment: { REGION: "eu" } });
        const after = await world.prepare(deploymentOf(pipelineOf(world.name, [stays("a"), changed])));
        const differing = after.filter(({ key, hash }) => before.find((other) => other.key === key)?.hash !== hash);
        expect(differing.map(({ key }) => key)).toEqual(["component/b-1"]);
        const old = before.find(({ key }) => key === "component/b-1")?.parts ?? {};
        const parts = differing[0]?.parts ?? {};
        expect(Object.keys(parts).filter((part) => parts[part] !== old[part])).toEqual(["environment"]);
      });

      it("leaves the instances that are there alone when a processor is scaled", async () => {
        await using world = new World(fixture);
        const of = async (replicas: number) =>
          world.prepare(deploymentOf(pipelineOf(world.name, [stays("a", { type: "processor", replicas })])));
        const [one, two] = [await of(1), await of(2)];
        const first = (resources: typeof one) => resources.find(({ key }) => key === "component/a-1")?.hash;
        expect(first(two)).toBe(first(one));
        expect(two.map(({ key }) => key)).toContain("component/a-2");
      });

      it("changes a hash with the value of a granted secret and shows nothing of the value", async () => {
        await using world = new World(fixture);
        const granted = stays("a", { secrets: [{ source: "key", target: "/run/secrets/key" }] });
        const of = async (value: string) =>
          (await world.prepare(deploymentOf(pipelineOf(world.name, [granted]), { key: value }))).find(
            ({ key }) => key === "component/a-1",
          );
        const [one, other] = [await of("first-value"), await of("second-value")];
        expect(one?.hash).not.toBe(other?.hash);
        expect(JSON.stringify([one, other])).not.toMatch(/first-value|second-value/);
      });

      it("rejects with kind cancelled when its signal has fired", async () => {
        await using world = new World(fixture);
        const signal = AbortSignal.abort();
        const deployment = deploymentOf(pipelineOf(world.name, [stays()]));
        const options = { signal, progress: () => undefined, build: false, dryRun: false };
        await expect(world.driver.prepare(deployment, options)).rejects.toMatchObject({ kind: "cancelled" });
      });
    });

    describe("creating", () => {
      it("observes nothing of a pipeline that was never made", async () => {
        await using world = new World(fixture);
        expect(await world.observe()).toEqual([]);
        expect(await world.driver.controlPlane(world.name, world.signal)).toBeUndefined();
        expect(await world.driver.pipelines(world.signal)).not.toContain(world.name);
      });

      it("makes everything that was prepared, and another flowctl observes it as it was asked for", async () => {
        await using world = new World(fixture);
        const resources = await world.up(deploymentOf(pipelineOf(world.name, [stays("a", { replicas: 2 })])));
        const observed = await fixture.connect().observe(world.name, world.signal);
        const essence = ({ key, kind, owner, index, hash, parts }: ObservedResource | (typeof resources)[number]) => ({
          ...{ key, kind, owner, index, hash, parts },
        });
        const byKey = (a: { key: string }, b: { key: string }) => (a.key < b.key ? -1 : 1);
        expect(observed.map(essence).sort(byKey)).toEqual(resources.map(essence).sort(byKey));
        expect(observed.every(({ state }) => state.status === "running")).toBe(true);
        expect(await fixture.connect().pipelines(world.signal)).toContain(world.name);
      });

      it("tells where the control plane is reached", async () => {
        await using world = new World(fixture);
        await world.up(deploymentOf(pipelineOf(world.name, [])));
        await eventually(async () => {
          const endpoint = await world.driver.controlPlane(world.name, world.signal);
          expect(endpoint?.grpc).toMatch(/^127\.0\.0\.1:\d+$/);
          // A published port takes connections before the program behind it does, and then loses them in silence.
          const answer = await fetch(`${endpoint?.http}/health`, { signal: AbortSignal.timeout(2_000) });
          expect(answer.ok).toBe(true);
        });
      });

      it("changes nothing when what is to be created is there already", async () => {
        await using world = new World(fixture);
        const deployment = deploymentOf(pipelineOf(world.name, [stays()]));
        await world.up(deployment);
        const before = await world.find("component/a-1");
        await world.up(deployment);
        expect(await world.find("component/a-1")).toEqual(before);
      });

      it("gives every instance its environment", async () => {
        await using world = new World(fixture);
        const script = `console.log(JSON.stringify(process.env));${STAYS}`;
        const settled = { ...settings, environment: { REGION: "eu" }, with: { rate: 3 }, replicas: 2 };
        await world.up(deploymentOf(pipelineOf(world.name, [component("a", script, settled)])));
        await world.untilSaid("a-2", "up");
        const [line] = (await world.logs({ select: ["a-2"] })).filter(({ stream }) => stream === "stdout");
        expect(JSON.parse(line?.text ?? "{}")).toMatchObject({
          REGION: "eu",
          FLOWCTL_PIPELINE: world.name,
          FLOWCTL_COMPONENT_ID: "a",
          FLOWCTL_COMPONENT_TYPE: "source",
          FLOWCTL_INSTANCE_ID: "a-2",
          FLOWCTL_INSTANCE_INDEX: "2",
          FLOWCTL_REPLICAS: "2",
          FLOWCTL_CONFIG: '{"rate":3}',
          FLOWCTL_LISTEN: expect.stringMatching(/:\d+$/),
          FLOWCTL_ADVERTISE: expect.stringMatching(/:\d+$/),
          FLOWCTL_CONTROL_PLANE: expect.stringMatching(/:\d+$/),
          FLOWCTL_HEALTH_PORT: expect.stringMatching(/^\d+$/),
          FLOWCTL_STOP_GRACE_MS: "10000",
        });
      });

      it("hands secrets over as files that only the instance can read, and shows them nowhere", async () => {
        await using world = new World(fixture);
        const script = `
          const { readFileSync, statSync } = require("node:fs");
          const path = process.env.FLOWCTL_SECRETS_DIR + "/key";
          console.log(readFileSync(path, "utf8") === "hush" + "-1234" ? "right" : "wrong");
          console.log((statSync(path).mode & 0o077).toString(8));
          ${STAYS}`;
        const granted = { ...settings, secrets: [{ source: "key", target: "/run/secrets/key" }] };
        await world.up(deploymentOf(pipelineOf(world.name, [component("a", script, granted)]), { key: "hush-1234" }));
        const lines = await world.untilSaid("a-1", "up");
        const said = lines.filter(({ stream }) => stream === "stdout").map(({ text }) => text);
        expect(said).toEqual(["right", "0"]);
        expect(await fixture.visible(await world.find("component/a-1"))).not.toContain("hush-1234");
      });

      it("reports a program that does not exist, or that it ended, and is not in the way of mending it", async () => {
        await using world = new World(fixture);
        const broken = component("a", "", { ...settings, command: ["no-such-program-anywhere"] });
        const refused = await world.up(deploymentOf(pipelineOf(world.name, [broken]))).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (refused === undefined) {
          const { state } = await world.until("component/a-1", (found) => found.state.status === "exited", "exited");
          expect(state).toMatchObject({ exitCode: 127 });
        } else expect(refused).toMatchObject({ name: "FlowctlError", fix: expect.any(String) });
        await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
        await world.untilSaid("a-1", "up");
      });
    });

    describe("changing", () => {
      it("replaces an instance by one with the new settings, and leaves the others running", async () => {
        await using world = new World(fixture);
        await world.up(deploymentOf(pipelineOf(world.name, [stays("a"), stays("b")])));
        await world.untilSaid("a-1", "up");
        const [a, b] = [await world.find("component/a-1"), await world.find("component/b-1")];
        const deployment = deploymentOf(pipelineOf(world.name, [stays("a", { environment: { N: "2" } }), stays("b")]));
        const resource = (await world.prepare(deployment)).find(({ key }) => key === "component/a-1");
        if (resource === undefined) throw new Error("not prepared");
        await world.apply({ action: "replace", resource, observed: a, cause: "environment changed" }, deployment);
        const replaced = await world.find("component/a-1");
        expect(replaced).toMatchObject({ hash: resource.hash, state: { status: "running" } });
        expect(replaced.ref).not.toBe(a.ref);
        expect(await world.find("component/b-1")).toEqual(b);
      });

      it("keeps an instance's state folder when it is replaced", async () => {
        await using world = new World(fixture);
        const script = `
          const { existsSync, writeFileSync } = require("node:fs");
          const file = process.env.FLOWCTL_STATE_DIR + "/mark";
          console.error(existsSync(file) ? "found" : "fresh");
          writeFileSync(file, "x");
          ${STAYS}`;
        const of = (n: string) =>
          deploymentOf(pipelineOf(world.name, [component("a", script, { ...settings, environment: { N: n } })]));
        await world.up(of("1"));
        await world.untilSaid("a-1", "fresh");
        const resource = (await world.prepare(of("2"))).find(({ key }) => key === "component/a-1");
        if (resource === undefined) throw new Error("not prepared");
        const observed = await world.find("component/a-1");
        await world.apply({ action: "replace", resource, observed, cause: "changed" }, of("2"));
        await world.untilSaid("a-1", "found");
      });

      it("stops gracefully, starts and restarts, and each again without complaint", async () => {
        await using world = new World(fixture);
        await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
        await world.untilSaid("a-1", "up");
        const running = await world.find("component/a-1");
        await world.apply({ action: "stop", observed: running, cause: "asked" });
        const stopped = await world.until("component/a-1", ({ state }) => state.status === "exited", "exited");
        expect(stopped.state).toMatchObject({ exitCode: 0, oomKilled: false });
        await world.apply({ action: "stop", observed: stopped, cause: "asked" });
        await world.apply({ action: "start", observed: stopped, cause: "asked" });
        await world.apply({ action: "start", observed: stopped, cause: "asked" });
        const started = await world.until("component/a-1", ({ state }) => state.status === "running", "running");
        await eventually(async () => {
          const ups = (await world.logs({ select: ["a-1"] })).filter(({ text }) => text === "up");
          expect(ups).toHaveLength(2);
        });
        await world.apply({ action: "restart", observed: started, cause: "asked" });
        await eventually(async () => {
          const ups = (await world.logs({ select: ["a-1"] })).filter(({ text }) => text === "up");
          expect(ups).toHaveLength(3);
        });
      });

      it("ends what does not leave within its grace period", async () => {
        await using world = new World(fixture);
        const stubborn = component("a", STUBBORN, { ...settings, stopGracePeriodMs: 1000 });
        await world.up(deploymentOf(pipelineOf(world.name, [stubborn])));
        await world.untilSaid("a-1", "up");
        await world.apply({ action: "stop", observed: await world.find("component/a-1"), cause: "asked" });
        const { state } = await world.until("component/a-1", (found) => found.state.status === "exited", "exited");
        expect(state).toMatchObject({ exitCode: 137 });
        expect((await world.logs({ select: ["a-1"] })).map(({ text }) => text)).toContain("no");
      });

      it("does not wait for the grace period when it is forced", async () => {
        await using world = new World(fixture);
        const stubborn = component("a", STUBBORN, { ...settings, stopGracePeriodMs: 600_000 });
        await world.up(deploymentOf(pipelineOf(world.name, [stubborn])));
        await world.untilSaid("a-1", "up");
        await world.apply(
          { action: "remove", observed: await world.find("component/a-1"), cause: "x" },
          undefined,
          true,
        );
        expect((await world.observe()).map(({ key }) => key)).not.toContain("component/a-1");
      });

      it("removes what is gone already without complaint", async () => {
        await using world = new World(fixture);
        await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
        const observed = await world.observe();
        await world.down();
        for (const resource of observed) await world.apply({ action: "remove", observed: resource, cause: "again" });
      });

      it("keeps state until its volume is removed by a change of its own", async () => {
        await using world = new World(fixture);
        await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
        const isVolume = ({ kind }: ObservedResource) => kind === "volume";
        const volumes = (await world.observe()).filter(isVolume);
        expect(volumes).not.toEqual([]);
        for (const observed of (await world.observe()).filter((resource) => !isVolume(resource)).reverse()) {
          if (observed.kind !== "network") await world.apply({ action: "remove", observed, cause: "down" });
        }
        const keys = (resources: readonly ObservedResource[]) => resources.map(({ key }) => key).sort();
        expect(keys((await world.observe()).filter(isVolume))).toEqual(keys(volumes));
      });
    });

    describe("changing what has not changed", () => describeUnchanged(fixture));

    describe("a pipeline and its folder", () => describeProject(fixture));

    describe("exits", () => {
      it.each([0, 7])("observes that a program ended with %i", async (code) => {
        await using world = new World(fixture);
        await world.up(deploymentOf(pipelineOf(world.name, [component("a", `process.exit(${code})`, settings)])));
        const { state } = await world.until("component/a-1", (found) => found.state.status === "exited", "exited");
        expect(state).toMatchObject({ status: "exited", exitCode: code, oomKilled: false });
      });

      it.runIf(capabilities.restartsExited)("starts a program that crashed again, and counts it", async () => {
        await using world = new World(fixture);
        const restarted = stays("a", { restart: { name: "on-failure" } });
        await world.up(deploymentOf(pipelineOf(world.name, [restarted])));
        await world.untilSaid("a-1", "up");
        const seen = watch(world);
        await seen.connected();
        await fixture.crash(await world.find("component/a-1"));
        await world.until(
          "component/a-1",
          ({ state }) => state.status === "running" && state.restarts === 1,
          "running, restarted once",
        );
        await eventually(async () => {
          expect(seen.exits("component/a-1")).toEqual([expect.objectContaining({ exitCode: 137, willRestart: true })]);
        });
      });

      it.runIf(capabilities.limits)("says that a program was ended because it took too much memory", async () => {
        await using world = new World(fixture);
        const hungry = component("a", `const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1));`, {
          ...settings,
          limits: { memoryBytes: 64 << 20 },
        });
        await world.up(deploymentOf(pipelineOf(world.name, [])));
        const seen = watch(world);
        await seen.connected();
        await world.up(deploymentOf(pipelineOf(world.name, [hungry])));
        const { state } = await world.until("component/a-1", (found) => found.state.status === "exited", "exited");
        expect(state).toMatchObject({ status: "exited", oomKilled: true });
        await eventually(async () => {
          expect(seen.exits("component/a-1")).toEqual([
            expect.objectContaining({ oomKilled: true, willRestart: false }),
          ]);
        });
      });
    });

    describe("events", () => {
      it("tells of starts, exits and removals, with exit codes, in their order", async () => {
        await using world = new World(fixture);
        const seen = watch(world);
        const deployment = deploymentOf(pipelineOf(world.name, [stays(), component("b", "process.exit(3)", settings)]));
        const resources = await world.prepare(deployment);
        for (const resource of resources.filter(({ kind }) => kind !== "component")) {
          await world.apply({ action: "create", resource, cause: "new" }, deployment);
        }
        await seen.connected();
        for (const resource of resources.filter(({ kind }) => kind === "component")) {
          await world.apply({ action: "create", resource, cause: "new" }, deployment);
        }
        await eventually(async () => expect(seen.of("component/b-1")).toContain("exited 3"));
        await world.apply({ action: "remove", observed: await world.find("component/a-1"), cause: "x" });
        await eventually(async () => {
          expect(seen.of("component/a-1").map((what) => what.split(" ")[0])).toEqual(["started", "exited", "removed"]);
        });
        expect(seen.of("component/b-1")).toEqual(["started", "exited 3"]);
      });

      it("ends quietly when its signal fires", async () => {
        await using world = new World(fixture);
        await world.up(deploymentOf(pipelineOf(world.name, [])));
        const stop = new AbortController();
        const reading = (async () => {
          for await (const _ of world.driver.events(world.name, stop.signal));
        })();
        setTimeout(() => stop.abort(), 100);
        await expect(reading).resolves.toBeUndefined();
      });
    });

    describe("logs", () => {
      const talker = `
        for (let n = 1; n <= 5; n++) console.log("line " + n);
        console.error("done");
        ${STAYS}`;

      it("gives the lines of both streams with their instance and time", async () => {
        await using world = new World(fixture);
        const before = Date.now();
        await world.up(deploymentOf(pipelineOf(world.name, [component("a", talker, settings)])));
        const lines = await world.untilSaid("a-1", "up");
        const texts = (stream: string) => lines.filter((line) => line.stream === stream).map(({ text }) => text);
        expect(texts("stdout")).toEqual(["line 1", "line 2", "line 3", "line 4", "line 5"]);
        expect(texts("stderr")).toEqual(["done", "up"]);
        expect(lines.every(({ instance, owner }) => instance === "a-1" && owner === "a")).toBe(true);
        expect(lines.every(({ time }) => time >= before - 1000 && time <= Date.now() + 1000)).toBe(true);
      });

      it("gives the last lines, and those from a time on", async () => {
        await using world = new World(fixture);
        await world.up(deploymentOf(pipelineOf(world.name, [component("a", talker, settings)])));
        const lines = await world.untilSaid("a-1", "up");
        const texts = (some: readonly LogLine[]) => some.map(({ text }) => text);
        expect(texts(await world.logs({ tail: 2 }))).toEqual(texts(lines.slice(-2)));
        expect(await world.logs({ tail: 0 })).toEqual([]);
        expect(await world.logs({ since: Date.now() + 60_000 })).toEqual([]);
        expect(texts(await world.logs({ since: (lines[0]?.time ?? 0) - 1000 }))).toEqual(texts(lines));
        expect(await world.logs({ until: (lines[0]?.time ?? 0) - 1000 })).toEqual([]);
      });

      it("gives only what is selected, and the control plane only when it is asked for", async () => {
        await using world = new World(fixture);
        const components = [component("a", talker, { ...settings, replicas: 2 }), component("b", talker, settings)];
        await world.up(deploymentOf(pipelineOf(world.name, components)));
        for (const instance of ["a-1", "a-2", "b-1"]) await world.untilSaid(instance, "up");
        const instances = async (...select: string[]) =>
          [...new Set((await world.logs({ select })).map(({ instance }) => instance))].sort();
        expect(await instances()).toEqual(["a-1", "a-2", "b-1"]);
        expect(await instances("a")).toEqual(["a-1", "a-2"]);
        expect(await instances("a-2", "b")).toEqual(["a-2", "b-1"]);
      });

      it("keeps a very long line whole, whatever characters are in it", async () => {
        await using world = new World(fixture);
        const script = `console.log("ä€😀".repeat(30000)); ${STAYS}`;
        await world.up(deploymentOf(pipelineOf(world.name, [component("a", script, settings)])));
        await world.untilSaid("a-1", "up");
        const [line] = (await world.logs()).filter(({ stream }) => stream === "stdout");
        expect(line?.text === "ä€😀".repeat(30_000)).toBe(true);
      });

      it("follows: what is there, what comes, and instances that start later, each line once", async () => {
        await using world = new World(fixture);
        const counting = `
          let n = 0;
          setInterval(() => console.log(process.env.FLOWCTL_INSTANCE_ID + " " + ++n), 20);
          process.on("SIGTERM", () => process.exit(0));`;
        const of = (replicas: number) =>
          deploymentOf(
            pipelineOf(world.name, [component("a", counting, { ...settings, type: "processor", replicas })]),
          );
        await world.up(of(1));
        const followed = follow(world);
        await eventually(async () => expect(followed.texts("a-1").length).toBeGreaterThan(5));
        await world.up(of(2));
        await eventually(async () => expect(followed.texts("a-2").length).toBeGreaterThan(5));
        await followed.end();
        for (const instance of ["a-1", "a-2"]) {
          const texts = followed.texts(instance);
          expect(texts).toEqual(texts.map((_, at) => `${instance} ${at + 1}`));
        }
      });

      it("goes on following through a restart, without a gap and without repeating itself", async () => {
        await using world = new World(fixture);
        const script = `console.log("began " + process.hrtime.bigint()); ${STAYS}`;
        await world.up(deploymentOf(pipelineOf(world.name, [component("a", script, settings)])));
        const followed = follow(world);
        const began = () => followed.texts("a-1").filter((text) => text.startsWith("began"));
        for (const times of [1, 2, 3]) {
          await eventually(async () => expect(began()).toHaveLength(times));
          await world.apply({ action: "restart", observed: await world.find("component/a-1"), cause: "asked" });
        }
        await eventually(async () => expect(began()).toHaveLength(4));
        expect(new Set(began()).size).toBe(4);
        expect(followed.texts("a-1").filter((text) => text === "leaving")).toHaveLength(3);
        await followed.end();
      });
    });

    describe("after a crash of flowctl", () => {
      it.each([1, 2, 3, 4, 5, 6])(
        "sees and removes whatever an up that was killed at step %i left behind",
        async (step) => {
          await using world = new World(fixture);
          const killed = await upUntilKilled(world, fixtureModule, step);
          expect(killed).toBe("SIGKILL");
          // The engine may still carry out the request that flowctl died on.
          await eventually(async () => {
            await world.down(false);
            expect(await fixture.leftovers(world.name)).toEqual([]);
          });
        },
      );

      it("completes what was left half-made by the next up", async () => {
        await using world = new World(fixture);
        await upUntilKilled(world, fixtureModule, 5);
        const deployment = deploymentOf(pipelineOf(world.name, [stays("a"), stays("b")]), { key: "hush" });
        const resources = await world.prepare(deployment);
        for (const resource of resources) {
          const observed = (await world.observe()).find(({ key }) => key === resource.key);
          if (observed === undefined) await world.apply({ action: "create", resource, cause: "new" }, deployment);
          else if (observed.hash !== resource.hash) {
            await world.apply({ action: "replace", resource, observed, cause: "half-made" }, deployment);
          }
        }
        for (const instance of ["a-1", "b-1"]) await world.untilSaid(instance, "up");
      });
    });
  });
}
