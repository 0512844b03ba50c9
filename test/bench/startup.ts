import { spawnSync } from "node:child_process";
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { runProgram, runWell } from "../e2e/run-program.ts";
import { atExit } from "./at-exit.ts";
import { chainPipeline } from "./chain-pipeline.ts";
import { composeFileOf } from "./compose-file.ts";
import type { Row } from "./results-table.ts";
import { interleave, timed } from "./samples.ts";
import { makeWorkplace, type Workplace } from "./workplace.ts";

/** From `flowctl up -d` to the first event in the file of the sink, beside what the parts cost without flowctl. */
export async function measureStartup(driver: "process" | "docker", rounds: number): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const components of [3, 20]) rows.push(...(await measureSize(driver, components, rounds)));
  return rows;
}

async function measureSize(driver: "process" | "docker", components: number, rounds: number): Promise<readonly Row[]> {
  const place = makeWorkplace(`${driver}-${components}`);
  const file = join(place.folder, "pipeline.yaml");
  const name = `bench-${driver}-${components}-${process.pid}`;
  writeFileSync(file, chainPipeline(name, components));
  const compose = join(place.folder, "compose.yaml");
  const upTimes: number[] = [];
  const up = async (round: number): Promise<number> => {
    rmSync(join(place.folder, "out.jsonl"), { force: true });
    try {
      const started = performance.now();
      const firstEvent = firstWritten(join(place.folder, "out.jsonl")).then(() => performance.now() - started);
      await place.up(file, driver);
      if (round > 0) upTimes.push(performance.now() - started);
      const took = await firstEvent;
      if (driver === "docker" && !existsSync(compose)) writeFileSync(compose, await composeFileOf(name));
      return took;
    } finally {
      await place.down(file, driver);
    }
  };
  try {
    const baseline =
      driver === "process"
        ? { name: `${components + 1} × node -e 0 at once`, run: () => bareNodes(components + 1) }
        : { name: "docker compose up -d, same containers", run: () => composeUp(place, compose, `${name}-compose`) };
    const [first, base] = await interleave([{ name: "first event at the sink", run: up }, baseline], rounds);
    const what = `up, ${driver}, ${components} components`;
    return [
      { what, unit: "ms", measured: first!, baseline: base! },
      { what, unit: "ms", measured: { name: "flowctl up -d returns", samples: upTimes }, baseline: base! },
    ];
  } finally {
    place.dispose();
  }
}

async function firstWritten(path: string): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!existsSync(path) || statSync(path).size === 0) {
    if (performance.now() > deadline) throw new Error(`nothing was written to ${path} in two minutes`);
    await wait(2);
  }
}

function bareNodes(count: number): Promise<number> {
  return timed(() => Promise.all(Array.from({ length: count }, () => runWell(process.execPath, ["-e", "0"]))));
}

async function composeUp(place: Workplace, file: string, project: string): Promise<number> {
  const compose = ["compose", "--project-name", project, "--file", file];
  const downCommand = [...compose, "down", "--volumes", "--timeout", "0"];
  const forget = atExit(() => void spawnSync("docker", downCommand, { cwd: place.folder }));
  try {
    return await timed(() => runWell("docker", [...compose, "up", "-d"], { cwd: place.folder }));
  } finally {
    await runProgram("docker", downCommand, { cwd: place.folder });
    forget();
  }
}
