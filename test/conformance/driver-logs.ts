import { expect, it } from "vitest";
import type { LogLine } from "../../src/drivers/driver.ts";
import type { DriverFixture } from "./driver-fixture.ts";
import { follow } from "./driver-observers.ts";
import { component, deploymentOf, pipelineOf, STAYS } from "./driver-pipelines.ts";
import { eventually, World } from "./driver-world.ts";

/** What a driver has to do with what its programs write. */
export function describeLogs(fixture: DriverFixture): void {
  const { settings } = fixture;
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
    // It says that it is up on the other stream, which may be read before.
    await eventually(async () => {
      const said = (await world.logs()).filter(({ stream }) => stream === "stdout");
      expect(said.map(({ text }) => text.length)).toEqual([120_000]);
      expect(said[0]?.text === "ä€😀".repeat(30_000)).toBe(true);
    });
  });

  it("follows: what is there, what comes, and instances that start later, each line once", async () => {
    await using world = new World(fixture);
    const counting = `
      let n = 0;
      setInterval(() => console.log(process.env.FLOWCTL_INSTANCE_ID + " " + ++n), 20);
      process.on("SIGTERM", () => process.exit(0));`;
    const of = (replicas: number) =>
      deploymentOf(pipelineOf(world.name, [component("a", counting, { ...settings, type: "processor", replicas })]));
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
    const count = (line: string) => followed.texts("a-1").filter((text) => text === line).length;
    for (const times of [1, 2, 3]) {
      // Only when it says that it is up does it leave with a word.
      await eventually(async () => expect([began().length, count("up")]).toEqual([times, times]));
      await world.apply({ action: "restart", observed: await world.find("component/a-1"), cause: "asked" });
    }
    await eventually(async () => expect(began()).toHaveLength(4));
    expect(new Set(began()).size).toBe(4);
    expect(count("leaving")).toBe(3);
    await followed.end();
  });
}
