import { plenty } from "../test-downstream.ts";
import { Broken } from "../waiting.ts";
import { type Check, producers } from "./check.ts";

/** What the control plane learns of a change that is under way. */
export const markingChecks: readonly Check[] = [
  {
    id: "mark/heard",
    title: "says in every heartbeat the largest mark that it has heard of",
    fix: "Put the largest Downstream.mark that any topology has had into HeartbeatRequest.heard_mark.",
    types: producers,
    feature: "marks",
    scene: "registered",
    needs: ["heartbeat/interval"],
    async run(bench) {
      await bench.launch();
      const { controlPlane } = bench;
      const heard = () => controlPlane.heartbeats.at(-1)?.heardMark ?? 0;
      controlPlane.announce(bench.topology([bench.above], { groups: [{ id: "below", mark: 7 }] }));
      await bench.until(
        () => heard() === 7,
        () => `its heartbeats have heard_mark ${heard()} after a topology with mark 7`,
      );
      const groups = [
        { id: "below", mark: 7 },
        { id: "beside", mark: 9 },
      ];
      controlPlane.announce(bench.topology([bench.above], { groups }));
      await bench.until(
        () => heard() === 9,
        () => `its heartbeats have heard_mark ${heard()} after a topology with mark 9`,
      );
      const { length } = controlPlane.heartbeats;
      controlPlane.announce(bench.topology([bench.above], { groups: [{ id: "below", mark: 7 }] }));
      await bench.until(() => controlPlane.heartbeats.length >= length + 4, "its heartbeats have stopped");
      const fallen = controlPlane.heartbeats.slice(length).find(({ heardMark }) => heardMark !== 9);
      if (fallen !== undefined) throw new Broken(`heard_mark fell from 9 to ${fallen.heardMark}`);
    },
  },
  {
    id: "mark/settled",
    title: "says that a mark is settled once a group has acknowledged what it was owed then, and not sooner",
    fix: "When a group's Downstream.mark grows, remember what the group is owed; once all of that is acknowledged, whatever is owed of newer, put the mark into HeartbeatRequest.settled_marks under the group's id, and leave it there.",
    types: producers,
    feature: "marks",
    needs: ["mark/heard", "publish/every-group"],
    async run(bench) {
      await bench.launch({ groups: [{ id: "below" }, { id: "beside" }] });
      const below = bench.below({ acknowledge: true, hold: bench.facts.type === "source" ? 1 : 0 });
      const beside = bench.below({ group: "beside", credit: { maxSequence: 2, maxBytes: plenty.maxBytes } });
      const { controlPlane } = bench;
      const events = await bench.produce(2);
      await bench.arrived(below, Math.max(2, bench.expectedOutputs(events)));
      await bench.arrived(beside, 2);
      const owed = below.events.length;
      const groups = [
        { id: "below", mark: 0 },
        { id: "beside", mark: 5 },
        { id: "aside", mark: 4 },
      ];
      controlPlane.announce(bench.topology([bench.above], { groups }));
      const settled = (id: string) => controlPlane.heartbeats.at(-1)?.settledMarks[id] ?? 0;
      await bench.until(
        () => settled("aside") === 4,
        "no heartbeat has the mark of a new group in settled_marks, to which nothing is owed",
      );
      await bench.quiet(
        () => settled("beside") > 0 && "a mark is settled before the group has acknowledged what it was owed",
      );
      beside.grant(plenty);
      if (bench.facts.type === "processor") {
        await bench.produce(1);
        await bench.arrived(beside, owed + 1);
        // What is newer is nothing to the mark.
        beside.ack(owed);
      } else {
        beside.acknowledge = true;
        beside.ackAll();
      }
      await bench.until(
        () => settled("beside") === 5,
        "the mark is not settled after all that was owed is acknowledged",
      );
      const { length } = controlPlane.heartbeats;
      await bench.until(() => controlPlane.heartbeats.length >= length + 3, "its heartbeats have stopped");
      if (settled("beside") !== 5) throw new Broken("a later heartbeat does not say any more that the mark is settled");
    },
  },
];
