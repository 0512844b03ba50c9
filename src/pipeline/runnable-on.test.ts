import { expect, test } from "vitest";
import { runnableOn } from "./runnable-on.ts";

const build = { context: "/b", args: {}, labels: {}, cacheFrom: [], noCache: false, pull: false };

function drivers(component: Omit<Parameters<typeof runnableOn>[0]["components"][number], "id">) {
  const answers = runnableOn({ components: [{ id: "c", ...component }], services: [] });
  return answers.filter((answer) => answer.ok).map((answer) => answer.driver);
}

test.for([
  ["a built-in", { uses: "filter" }, ["docker", "process", "kubernetes"]],
  ["an image", { image: "i" }, ["docker", "kubernetes"]],
  ["a build", { build }, ["docker"]],
  ["a build with a name", { build, image: "i" }, ["docker", "kubernetes"]],
  ["a command", { command: ["c"] }, ["process"]],
  ["an image with a command", { image: "i", command: ["c"] }, ["docker", "process", "kubernetes"]],
  ["nothing", {}, []],
] as const)("%s runs on the drivers that can run it", ([, component, expected]) => {
  expect(drivers(component)).toEqual(expected);
});

test("a service keeps a pipeline off processes, and is named with the reason", () => {
  const answers = runnableOn({
    components: [{ id: "c", uses: "filter" }],
    services: [{ id: "db", image: "postgres" }],
  });
  const onProcesses = answers.find((answer) => answer.driver === "process");
  expect(onProcesses?.ok).toBe(false);
  expect(onProcesses?.lacking).toEqual([
    { component: "db", reason: "is a service container, which needs docker or kubernetes" },
  ]);
});
