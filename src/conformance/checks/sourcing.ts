import type { Bench } from "../bench.ts";
import { plenty } from "../test-downstream.ts";
import { Broken, NotApplicable } from "../waiting.ts";
import { type Check, sources } from "./check.ts";

export const sourcingChecks: readonly Check[] = [
  {
    id: "checkpoint/after-ack",
    title: "saves a checkpoint only after something is acknowledged, and then does",
    fix: "Call SaveCheckpoint with the position after the last event up to which every one is acknowledged.",
    types: sources,
    needs: ["publish/credit-events"],
    async run(bench) {
      bench.needsOutput(2);
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: 2, maxBytes: plenty.maxBytes } });
      await bench.arrived(below, 2);
      const saved = () => bench.controlPlane.checkpoints.length;
      await bench.quiet(() => saved() > 0 && "it saved a checkpoint with nothing acknowledged");
      below.acknowledge = true;
      below.ackAll();
      if (!(await bench.happens(() => saved() > 0, bench.timing.stepMs))) {
        throw new NotApplicable("it saved no checkpoint: after a restart it begins at the beginning");
      }
    },
  },
  {
    id: "checkpoint/contiguous",
    title: "saves no checkpoint past an event that one instance below still holds",
    fix: "Move the checkpoint over the acknowledged prefix only, in the order in which the events were made.",
    types: sources,
    needs: ["checkpoint/after-ack"],
    async run(bench) {
      bench.needsOutput(4);
      await bench.launch();
      const slow = bench.below({ instanceId: "below-1", credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
      await bench.arrived(slow, 1);
      const quick = bench.below({ instanceId: "below-2", acknowledge: true });
      await bench.arrived(quick, 2);
      await bench.quiet(() => undefined);
      const held = slow.ids[0]!;
      const checkpoint = bench.controlPlane.checkpoints.at(-1);
      if (checkpoint === undefined) return;
      const ids = await idsAfterRestart(bench, checkpoint, (seen) => seen.includes(held));
      if (!ids.includes(held))
        throw new Broken(`"${held}" was never acknowledged, and after a restart it did not come again`);
    },
  },
  {
    id: "checkpoint/every-group",
    title: "saves a checkpoint only after every group below has acknowledged, one that is not there yet included",
    fix: "Take the groups from Topology.downstreams: an event counts as acknowledged when each of them has acknowledged it.",
    types: sources,
    needs: ["checkpoint/after-ack", "publish/every-group"],
    async run(bench) {
      bench.needsOutput(2);
      await bench.launch({ groups: [{ id: "below" }, { id: "beside" }] });
      await bench.arrived(bench.below({ acknowledge: true }), 2);
      const saved = () => bench.controlPlane.checkpoints.length > 0;
      await bench.quiet(() => saved() && 'it saved a checkpoint before the group "beside" came');
      const beside = bench.below({ group: "beside" });
      await bench.arrived(beside, 2);
      await bench.quiet(() => saved() && 'it saved a checkpoint before the group "beside" had acknowledged');
      beside.acknowledge = true;
      beside.ackAll();
      await bench.until(saved, "it saved no checkpoint after every group had acknowledged", { mayExit: true });
    },
  },
  {
    id: "checkpoint/resume",
    title: "goes on from the checkpoint that the registration hands back, losing nothing and with the same ids",
    fix: "Begin at RegisterComponentResponse.checkpoint, and make each event's id from its position.",
    types: sources,
    needs: ["checkpoint/after-ack"],
    async run(bench) {
      bench.needsOutput(4);
      await bench.launch();
      const first = bench.below({ credit: { maxSequence: 4, maxBytes: plenty.maxBytes } });
      await bench.arrived(first, 4);
      const [one, two, ...unacknowledged] = first.ids;
      first.ack(2);
      const saved = () => bench.controlPlane.checkpoints.at(-1);
      if (!(await bench.happens(() => saved() !== undefined, bench.timing.stepMs))) {
        throw new NotApplicable("it saved no checkpoint");
      }
      await bench.quiet(() => undefined);
      const ids = await idsAfterRestart(bench, saved()!, (seen) => unacknowledged.every((id) => seen.includes(id)));
      const lost = unacknowledged.find((id) => !ids.includes(id));
      if (lost !== undefined) {
        throw new Broken(
          `"${lost}" was not acknowledged, and after a restart it did not come again (came: ${ids.slice(0, 5).join(", ")})`,
        );
      }
      if (ids.includes(one!) && ids.includes(two!))
        throw new Broken("it began at the beginning in spite of the checkpoint");
    },
  },
];

/** Kills the source, starts it with the checkpoint, and returns what it gives until `enough`, or for a while. */
async function idsAfterRestart(
  bench: Bench,
  checkpoint: Buffer,
  enough: (ids: readonly string[]) => boolean,
): Promise<readonly string[]> {
  await bench.component?.kill();
  await bench.launch({ checkpoint });
  const after = bench.below({ acknowledge: true });
  await bench.happens(() => enough(after.ids), bench.timing.stepMs);
  return after.ids;
}
