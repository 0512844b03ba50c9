import type { Bench } from "../bench.ts";
import { plenty } from "../test-downstream.ts";
import type { GroupOptions } from "../test-topology.ts";
import { Broken } from "../waiting.ts";
import { type Check, consumers, producers } from "./check.ts";
import { acknowledgedUpTo, acknowledgesAll, acknowledgingDownstream } from "./steps.ts";

const both = [{ id: "below" }, { id: "beside" }];
const besideDrains = [{ id: "below" }, { id: "beside", draining: true }];

/** How an edge of the pipeline ends while the data goes on. */
export const drainingChecks: readonly Check[] = [
  {
    id: "drain/owed",
    title: "gives a group that drains all that it is owed and nothing new, then ends its streams as drained",
    fix: "Where Downstream.draining is set, add nothing more to what waits for that group; once it has acknowledged everything, send EndOfStream with drained on its streams and end them with OK.",
    types: producers,
    feature: "draining",
    needs: ["publish/every-group"],
    async run(bench) {
      await bench.launch({ groups: both });
      // A source with an end stays as long as something is unacknowledged.
      const below = bench.below({ acknowledge: true, hold: bench.facts.type === "source" ? 1 : 0 });
      const beside = bench.below({ group: "beside", credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
      const events = await bench.produce(3);
      await bench.arrived(below, Math.max(3, bench.expectedOutputs(events)));
      await bench.arrived(beside, 1);
      const owed = [...below.ids];
      await drains(bench);
      await bench.quiet(
        () => beside.endOfStream !== undefined && "it told a group that drains the end while it still owed it events",
      );
      const later = await bench.produce(2);
      await bench.arrived(below, owed.length + bench.expectedOutputs(later));
      beside.acknowledge = true;
      beside.grant(plenty);
      beside.ackAll();
      await bench.until(
        () => beside.endOfStream !== undefined,
        () => `it sent no EndOfStream to a group that drains, after ${beside.events.length} events`,
      );
      if (!beside.drained) throw new Broken("EndOfStream for a group that has drained does not say drained");
      const lost = owed.find((id) => !beside.ids.includes(id));
      if (lost !== undefined) throw new Broken(`"${lost}" was owed to a group that drains and did not come`);
      // What a source had made by then is its own affair.
      if (bench.facts.type === "processor" && beside.events.length > owed.length)
        throw new Broken(`it sent "${beside.ids[owed.length]}", which is new, to a group that drains`);
    },
  },
  {
    id: "drain/told",
    title: "names a drained group in every heartbeat, from when it has acknowledged all until it is left out",
    fix: "Put each group that is draining and owed nothing into HeartbeatRequest.drained_groups, for as long as the topology has it.",
    types: producers,
    feature: "draining",
    needs: ["drain/owed", "heartbeat/interval"],
    async run(bench) {
      await bench.launch({ groups: both });
      bench.below({ acknowledge: true, hold: bench.facts.type === "source" ? 1 : 0 });
      const beside = bench.below({ group: "beside" });
      await bench.produce(1);
      await bench.arrived(beside, 1);
      await drains(bench);
      const { heartbeats } = bench.controlPlane;
      const isNamed = () => heartbeats.at(-1)?.drainedGroups.includes("beside") ?? false;
      await bench.quiet(() => isNamed() && "it says that a group has drained that has not acknowledged everything");
      beside.acknowledge = true;
      beside.ackAll();
      await bench.until(isNamed, "no heartbeat names the group that has drained");
      // One that was made up before may still be on its way.
      const length = heartbeats.length + 1;
      await bench.until(() => heartbeats.length >= length + 3, "its heartbeats have stopped");
      if (heartbeats.slice(length).some(({ drainedGroups }) => !drainedGroups.includes("beside")))
        throw new Broken("a later heartbeat does not name the group that has drained");
      bench.controlPlane.announce(bench.topology([bench.above]));
      await bench.until(() => !isNamed(), "its heartbeats still name a group that the topology has left out");
    },
  },
  {
    id: "drain/takes-over",
    title: "owes what a removed group was owed to the group that takes it over, before anything newer",
    fix: "Where Downstream.takes_over names a group that this topology leaves out, put what waits for that one in front of what waits for this one, in the same order, instead of counting it as acknowledged.",
    types: producers,
    feature: "draining",
    needs: ["publish/group-gone", "drain/owed"],
    async run(bench) {
      await bench.launch({ groups: both });
      const below = bench.below({ acknowledge: true, hold: bench.facts.type === "source" ? 1 : 0 });
      const events = await bench.produce(3);
      await bench.arrived(below, Math.max(3, bench.expectedOutputs(events)));
      const owed = [...below.ids];
      const groups = [{ id: "below" }, { id: "heir", takesOver: ["beside"] }];
      await hears(bench, groups);
      const stream = bench.facts.type === "processor" ? await bench.subscribed() : undefined;
      await bench.quiet(
        () =>
          (stream?.acked ?? 0) > 0 &&
          `it acknowledged ${stream?.acked} events that were owed to the group whose place another takes`,
      );
      await bench.produce(2);
      const heir = bench.below({ group: "heir", acknowledge: true });
      await bench.arrived(heir, owed.length);
      const wrong = owed.findIndex((id, index) => heir.ids[index] !== id);
      if (wrong >= 0) {
        throw new Broken(
          `"${owed[wrong]}" was owed to the removed group; to the one that takes over came ${heir.ids.slice(0, owed.length).join(", ")}`,
        );
      }
      if (stream !== undefined) await acknowledgedUpTo(bench, stream, stream.sent);
    },
  },
  {
    id: "drain/input",
    title:
      "takes the end of an upstream that drains for the end of that input alone, and dials it again when it is back",
    fix: "Keep the streams to an Upstream with draining. Its EndOfStream ends the input, not the data; where a later topology has it without draining, dial it again.",
    types: consumers,
    feature: "draining",
    needs: ["end/every-instance"],
    async run(bench) {
      await bench.launch();
      const aside = bench.newUpstream("aside-1", "aside");
      await aside.start();
      bench.controlPlane.announce(bench.topology([bench.above, aside]));
      acknowledgingDownstream(bench);
      const first = await acknowledgesAll(bench, bench.fresh(2), aside);
      bench.controlPlane.announce(bench.topology([bench.above, aside], { draining: ["aside"] }));
      await bench.quiet(() => first.ended && "it left an upstream that drains before that had sent its end");
      await acknowledgesAll(bench, bench.fresh(2), aside);
      first.end({ drained: true });
      await bench.quiet(() => bench.component?.exit() && "it exited when one of its inputs had drained");
      await acknowledgesAll(bench, bench.fresh(2));
      bench.controlPlane.announce(bench.topology([bench.above, aside]));
      await acknowledgesAll(bench, bench.fresh(2), aside);
    },
  },
  {
    id: "drain/early-end",
    title: "dials an upstream again that ends as drained while the topology has it without draining",
    fix: "EndOfStream with drained from an upstream that is not draining is no end: one of you has yet to hear of a change. Dial again after a pause.",
    types: consumers,
    feature: "draining",
    scene: "taking",
    needs: ["ack/all"],
    async run(bench) {
      await bench.launch();
      acknowledgingDownstream(bench);
      const stream = await acknowledgesAll(bench, bench.fresh(2));
      stream.end({ drained: true });
      await bench.until(() => stream.ended, "it has not closed its side of a stream that ended as drained");
      await acknowledgesAll(bench, bench.fresh(2));
    },
  },
];

function drains(bench: Bench): Promise<void> {
  return hears(bench, besideDrains);
}

/**
 * Announces other groups below. A processor has heard of them when it subscribes at an instance that the same topology names for the
 * first time; when a source has, nobody can tell.
 */
async function hears(bench: Bench, groups: readonly GroupOptions[]): Promise<void> {
  if (bench.facts.type === "source") return bench.controlPlane.announce(bench.topology([], { groups }));
  const second = bench.newUpstream("above-2");
  await second.start();
  bench.controlPlane.announce(bench.topology([bench.above, second], { groups, desired: 2 }));
  await bench.subscribed(second);
}
