import { Broken } from "../waiting.ts";
import { type Check, consumers } from "./check.ts";
import { acknowledgesAll, acknowledgingDownstream, leavesAsCompleted, scaleAway } from "./steps.ts";

export const watchingChecks: readonly Check[] = [
  {
    id: "watch/subscribes",
    title: "subscribes at the upstream instances that the topology names",
    fix: "Dial every instance in Topology.upstreams that is not completed and open one Subscribe stream to each.",
    types: consumers,
    scene: "registered",
    async run(bench) {
      await bench.launch();
      await bench.subscribed();
    },
  },
  {
    id: "watch/moved",
    title: "dials the new address when an upstream instance has moved",
    fix: "Keep WatchTopology open; each answer replaces the one before: dial what is new, leave what is gone.",
    types: consumers,
    needs: ["watch/subscribes"],
    async run(bench) {
      await bench.launch();
      await bench.subscribed();
      const moved = bench.newUpstream("above-1");
      await moved.start();
      // The old one hangs: it answers nothing and is there all the same.
      bench.controlPlane.announce(bench.topology([moved]));
      acknowledgingDownstream(bench);
      await bench.subscribed(moved);
      bench.above.stop();
      await bench.quiet(
        () => moved.streams.length > 1 && `it subscribed ${moved.streams.length} times at the new address`,
      );
      await acknowledgesAll(bench, bench.fresh(2), moved);
    },
  },
  {
    id: "watch/added",
    title: "subscribes at an upstream instance that comes later, and keeps the first",
    fix: "On each answer of WatchTopology dial the instances that are new; leave the streams to the others as they are.",
    types: consumers,
    needs: ["watch/subscribes"],
    async run(bench) {
      await bench.launch();
      const first = await bench.subscribed();
      const second = bench.newUpstream("above-2");
      await second.start();
      bench.controlPlane.announce(bench.topology([bench.above, second], { desired: 2 }));
      acknowledgingDownstream(bench);
      await acknowledgesAll(bench, bench.fresh(2), second);
      if (first.ended) throw new Broken("it dropped the stream to above-1 when above-2 came");
      await acknowledgesAll(bench, bench.fresh(2));
    },
  },
  {
    id: "watch/again",
    title: "subscribes at an upstream instance that had ended, was left out, and is listed again",
    fix: "Forget that an instance has ended as soon as a topology leaves it out: one that is listed again is a new one.",
    types: consumers,
    needs: ["end/scaled-away"],
    async run(bench) {
      await bench.launch();
      await scaleAway(bench);
      await acknowledgesAll(bench, bench.fresh(2));
      const again = bench.newUpstream("above-2");
      await again.start();
      bench.controlPlane.announce(bench.topology([bench.above, again], { desired: 2 }));
      await acknowledgesAll(bench, bench.fresh(2), again);
    },
  },
  {
    id: "watch/completed",
    title: "completes at once when all its upstreams have completed before it started",
    fix: "When every Upstream in the topology says completed, nothing will ever come: end as after the EndOfStream of them all, and wait for no stream.",
    types: consumers,
    needs: ["watch/subscribes"],
    async run(bench) {
      await bench.launch();
      await bench.subscribed();
      await bench.component?.kill();
      // The second start finds everything above it done, as a component does that crashed at the very end.
      const before = bench.controlPlane.registrations.length;
      await bench.launchOnly({ upstreamsCompleted: true });
      await bench.until(() => bench.controlPlane.registrations.length > before, "it has not registered", {
        mayExit: true,
        timeoutMs: bench.timing.startMs,
      });
      await leavesAsCompleted(bench, "after a start with all upstreams completed");
    },
  },
];
