import { status } from "@grpc/grpc-js";
import type { Bench } from "../bench.ts";
import { plenty, type TestDownstream } from "../test-downstream.ts";
import type { TopologyOptions } from "../test-topology.ts";
import { Broken, NotApplicable } from "../waiting.ts";
import { type Check, everyType, producers, sources } from "./check.ts";
import { acknowledgesAll, acknowledgingDownstream, endStream, leavesAsCompleted } from "./steps.ts";

/** How a component that has nothing more to do says so: last, when nothing can have to be sent again. */
export const finishingChecks: readonly Check[] = [
  {
    id: "end/after-acks",
    title: "says the end only after everything is acknowledged, also what another instance of the group holds",
    fix: "Send EndOfStream on any stream, and DeregisterComponent with COMPLETED, only when no event waits for an ack on any stream: what one instance holds may have to go to another one of its group. A processor waits also when its inputs have been given to another instance meanwhile.",
    types: producers,
    needs: ["end/completes", "subscribe/again"],
    async run(bench) {
      needsEnd(bench);
      await bench.launch();
      const slow = bench.below({ instanceId: "below-1", credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
      await bench.produce(1);
      await bench.arrived(slow, 1);
      const quick = bench.below({ instanceId: "below-2", acknowledge: true });
      await bench.until(() => quick.opened, "it has not opened the second instance's subscription");
      if (bench.facts.type === "processor") {
        await bench.produce(3);
        await bench.arrived(quick, 1);
      }
      await endsAbove(bench);
      await saysNoEnd(bench, [slow, quick], `while ${slow.instanceId} had not acknowledged what it was sent`);
      slow.grant(plenty);
      slow.acknowledge = true;
      slow.ackAll();
      await completes(bench, [slow, quick], "after the last ack");
    },
  },
  {
    id: "end/every-group",
    title: "says the end only after every group has acknowledged everything, one that is not there yet included",
    fix: "Send the first EndOfStream once each group in Topology.downstreams, connected or not, has acknowledged every event. Whoever is told the end may exit: if you were killed before the others are through, your successor would wait for it for ever.",
    types: producers,
    needs: ["end/after-acks", "publish/every-group"],
    async run(bench) {
      needsEnd(bench);
      const groups = [{ id: "below" }, { id: "beside" }];
      await bench.launch({ groups });
      const below = bench.below({ acknowledge: true });
      await bench.produce(bench.facts.type === "processor" ? 3 : 1);
      await bench.arrived(below, 1);
      await endsAbove(bench, groups);
      await saysNoEnd(bench, [below], 'before the group "beside" came');
      const beside = bench.below({ group: "beside", acknowledge: true, hold: 1 });
      await bench.arrived(beside, 1);
      await saysNoEnd(bench, [below, beside], 'while the group "beside" had not acknowledged its last event');
      beside.hold = 0;
      beside.ackAll();
      await completes(bench, [below, beside], "after the last ack of the last group");
    },
  },
  {
    id: "end/position-stored",
    title: "says the end only after its last position is stored",
    fix: "After the last ack call SaveCheckpoint, try again for as long as it fails, and send EndOfStream and deregister only once it is answered.",
    types: sources,
    needs: ["end/after-acks", "checkpoint/after-ack"],
    async run(bench) {
      needsEnd(bench);
      const { controlPlane } = bench;
      controlPlane.withholdCheckpoints = true;
      await bench.launch();
      const below = bench.below({ acknowledge: true });
      await bench.arrived(below, bench.facts.produced);
      const saves = (why: string, otherwise: string) =>
        bench.until(() => refuseEnd(bench, [below], why) ?? controlPlane.withheld > 0, otherwise);
      await saves("without having stored its last position", "it has not called SaveCheckpoint after the last ack");
      await saysNoEnd(bench, [below], "before SaveCheckpoint was answered");
      // The first call may have been made before the last ack; what comes after it says the last position.
      for (const _call of ["first", "second"]) {
        controlPlane.refuseWithheld();
        await saves("after SaveCheckpoint had failed", "it has not called SaveCheckpoint again after it had failed");
      }
      controlPlane.storeWithheld();
      await bench.until(() => below.endOfStream !== undefined, "it sent no EndOfStream after its position was stored", {
        mayExit: true,
      });
      const before = controlPlane.checkpoints.length;
      await completes(bench, [below], "after its position was stored");
      if (controlPlane.checkpoints.length > before) throw new Broken("it stored a position after EndOfStream");
    },
  },
  {
    id: "end/resumed",
    title: "completes again, and gives nothing twice, when it is started at its last position",
    fix: "Store the position after the very last event before EndOfStream. Started there, find nothing more to give and complete, also when nobody is below any more.",
    types: sources,
    needs: ["end/position-stored"],
    async run(bench) {
      await bench.launch();
      const first = bench.below({ acknowledge: true });
      await leavesAsCompleted(bench, "after the end of its data");
      const position = bench.controlPlane.checkpoints.at(-1);
      if (position === undefined) throw new Broken("it completed without having stored its last position");
      await bench.launch({ checkpoint: position });
      const second = bench.below({ acknowledge: true });
      await leavesAsCompleted(bench, "after a start at its last position");
      const again = second.ids.find((id) => first.ids.includes(id));
      if (again !== undefined) throw new Broken(`"${again}" came again after a start at its last position`);
    },
  },
  {
    id: "end/heard",
    title: "repeats that it has completed until the control plane has heard it",
    fix: "When DeregisterComponent with COMPLETED fails, try again with a growing pause, and exit only once it is answered: an exit without it counts as a crash.",
    types: everyType,
    needs: ["end/completes", "control-plane/away"],
    async run(bench) {
      needsEnd(bench);
      await bench.launch();
      await bench.until(() => bench.controlPlane.heartbeats.length > 0, "no heartbeat came");
      if (bench.facts.type === "source") {
        const below = bench.below();
        await bench.arrived(below, 1);
        bench.controlPlane.stop();
        below.acknowledge = true;
        below.ackAll();
      } else {
        acknowledgingDownstream(bench);
        const stream = await acknowledgesAll(bench, bench.fresh(3));
        bench.controlPlane.stop();
        stream.end();
      }
      await bench.quiet(() => bench.component?.exit() && "it exited while the control plane was away");
      bench.controlPlane.announce(bench.topology([bench.above], { completed: [bench.above], allCompleted: true }));
      for (const code of [status.UNAVAILABLE, status.INTERNAL])
        bench.controlPlane.deregistrationRefusals.push({ status: code, code: "", message: "not now" });
      await bench.controlPlane.start();
      await leavesAsCompleted(bench, "after the control plane was back, and had refused to hear it twice");
    },
  },
  {
    id: "end/nothing-after",
    title: "sends nothing after EndOfStream, which has the last sequence number of its stream",
    fix: "Set last_sequence to the number of events sent on that stream, 0 when there was none, and end the stream with OK right after it.",
    types: producers,
    needs: ["end/completes"],
  },
  {
    id: "end/before-ok",
    title: "ends no stream with OK before EndOfStream, unless its subscriber has closed its side",
    fix: "A stream that ends for any other reason than the end of the data ends with an error, or breaks with the program: on SIGTERM exit, or end it with UNAVAILABLE. The subscriber then dials again.",
    types: producers,
    needs: ["stop/grace"],
  },
];

/** Not applicable to a source without an end, and to what has nothing to give. */
function needsEnd(bench: Bench): void {
  if (bench.facts.type === "source" && !bench.facts.finite) {
    throw new NotApplicable("the source does not end by itself");
  }
  bench.needsOutput(1);
}

/**
 * Ends all data of a processor while what it made is not acknowledged. An upstream may do so only when the inputs are
 * acknowledged; that they are, because another instance of the group was given them: the stream breaks before the
 * processor may acknowledge them, and the next one brings nothing but the end. A source ends by itself.
 */
async function endsAbove(bench: Bench, groups: TopologyOptions["groups"] = [{ id: "below" }]): Promise<void> {
  if (bench.facts.type !== "processor") return;
  (await bench.subscribed()).break();
  await endStream(bench);
  bench.controlPlane.announce(bench.topology([bench.above], { groups, completed: [bench.above], allCompleted: true }));
}

/** Waits until nothing more comes, and for a while after that, in all of which the component may not say the end. */
async function saysNoEnd(bench: Bench, below: readonly TestDownstream[], when: string): Promise<void> {
  const came = () => below.reduce((sum, { events }) => sum + events.length, 0);
  for (let before = -1; before < came(); ) {
    before = came();
    await bench.quiet(() => endSeen(bench, below, when));
  }
}

/** Throws when the component has said the end already. */
function refuseEnd(bench: Bench, below: readonly TestDownstream[], when: string): undefined {
  const seen = endSeen(bench, below, when);
  if (seen !== undefined) throw new Broken(seen);
}

/** Where the component has said, by now, that it is through; undefined when it has not. */
export function endSeen(bench: Bench, below: readonly TestDownstream[], when: string): string | undefined {
  const told = below.find((downstream) => downstream.endOfStream !== undefined);
  if (told !== undefined) return `it sent EndOfStream to ${told.instanceId} ${when}`;
  const completed = bench.controlPlane.deregistrations.some(({ reason }) => reason === "DEREGISTER_REASON_COMPLETED");
  if (completed) return `it deregistered as completed ${when}`;
  return bench.component?.exit() && `it exited ${when}`;
}

/** Waits until the component has left as completed and has told all of them the end. */
async function completes(bench: Bench, below: readonly TestDownstream[], when: string): Promise<void> {
  await leavesAsCompleted(bench, when);
  const untold = () => below.find((downstream) => downstream.endOfStream === undefined);
  await bench.happens(() => untold() === undefined, bench.timing.quietMs);
  const missing = untold();
  if (missing !== undefined) throw new Broken(`it sent no EndOfStream to ${missing.instanceId} before it exited`);
}
