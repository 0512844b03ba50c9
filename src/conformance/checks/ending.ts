import { Broken, NotApplicable } from "../waiting.ts";
import { type Check, consumers, everyType } from "./check.ts";
import {
  acknowledgesAll,
  acknowledgingDownstream,
  endStream,
  endUpstream,
  leavesAsCompleted,
  scaleAway,
} from "./steps.ts";

export const endingChecks: readonly Check[] = [
  {
    id: "end/completes",
    title: "deregisters as completed and exits with 0 when its data has ended and is acknowledged",
    fix: "When every upstream has ended (a source: its own data) and everything is acknowledged, send EndOfStream on every stream, then DeregisterComponent with COMPLETED, then exit with 0.",
    types: everyType,
    needs: ["ack/all"],
    async run(bench) {
      await bench.launch();
      const below = acknowledgingDownstream(bench);
      if (bench.facts.type === "source") {
        if (!bench.facts.finite) throw new NotApplicable("the source does not end by itself");
      } else {
        await acknowledgesAll(bench, bench.fresh(3));
        await endUpstream(bench);
      }
      await leavesAsCompleted(bench, "after the end of its data");
      await bench.quiet(() => undefined);
      if (below !== undefined && below.endOfStream === undefined)
        throw new Broken("it sent no EndOfStream before it exited");
    },
  },
  {
    id: "end/every-instance",
    title: "goes on while one of its upstream instances has not ended",
    fix: "EndOfStream ends one stream; an upstream has ended when desired_instances of its instances have, or when the topology says completed.",
    types: consumers,
    needs: ["end/completes", "watch/added"],
    async run(bench) {
      await bench.launch();
      await bench.subscribed();
      const second = bench.newUpstream("above-2");
      await second.start();
      bench.controlPlane.announce(bench.topology([bench.above, second], { desired: 2 }));
      acknowledgingDownstream(bench);
      await acknowledgesAll(bench, bench.fresh(2), second);
      await endStream(bench);
      bench.controlPlane.announce(bench.topology([bench.above, second], { completed: [bench.above], desired: 2 }));
      await bench.quiet(() => bench.component?.exit() && "it exited when the first of two upstream instances ended");
      await acknowledgesAll(bench, bench.fresh(2), second);
    },
  },
  {
    id: "end/late-instance",
    title: "waits for upstream instances that have not come yet",
    fix: "Do not end when every stream has ended, but when Upstream.desired_instances have ended or Upstream.completed is set.",
    types: consumers,
    needs: ["end/every-instance"],
    async run(bench) {
      await bench.launch({ upstreamInstances: 2 });
      acknowledgingDownstream(bench);
      await acknowledgesAll(bench, bench.fresh(2));
      await endStream(bench);
      bench.controlPlane.announce(bench.topology([bench.above], { completed: [bench.above], desired: 2 }));
      await bench.quiet(
        () =>
          bench.component?.exit() &&
          "it exited when the only instance so far had ended, with the upstream not completed",
      );
      const second = bench.newUpstream("above-2");
      await second.start();
      bench.controlPlane.announce(bench.topology([bench.above, second], { completed: [bench.above], desired: 2 }));
      await acknowledgesAll(bench, bench.fresh(2), second);
    },
  },
  {
    id: "end/scaled-away",
    title: "does not take the end of an upstream instance that was scaled away for the end of the data",
    fix: "Count only the ends of instances that the newest topology lists, and complete only when none that it lists is without one.",
    types: consumers,
    needs: ["end/every-instance", "watch/added"],
    async run(bench) {
      await bench.launch();
      await scaleAway(bench);
      await bench.quiet(() => bench.component?.exit() && "it exited although the instance that is left had not ended");
      await acknowledgesAll(bench, bench.fresh(2));
    },
  },
];
