import { runWell } from "../../e2e/run-program.ts";
import type { Row } from "../results-table.ts";
import { interleave } from "../samples.ts";
import { type StreamBench, scaled, streaming } from "./contender.ts";
import { findNodeImage, makeDockerPlace } from "./docker-place.ts";
import { linear } from "./plans.ts";
import { Programs } from "./programs.ts";

/** Source → filter → sink as containers on a bridge network, against the same as processes over the loopback. */
export async function measureDockerBridge({ rounds, scale }: StreamBench): Promise<readonly Row[]> {
  const image = await findNodeImage();
  const { stdout } = await runWell("docker", ["run", "--rm", "--network", "none", image, "node", "--version"]);
  return await Programs.with(async (programs) => {
    const options = {
      program: "flowctl",
      plan: linear("filter"),
      size: 180,
      count: scaled(3_000_000, scale),
    } as const;
    const [docker, local] = await interleave(
      [
        streaming(programs, `Docker bridge, Node.js ${stdout.trim().slice(1)}`, {
          ...options,
          place: () => makeDockerPlace(image),
        }),
        streaming(programs, `processes, Node.js ${process.versions.node}`, options),
      ],
      rounds,
    );
    return [{ what: "filter, 180 B", unit: "events/s", measured: docker!, baseline: local!, goal: { atLeast: 0.85 } }];
  });
}
