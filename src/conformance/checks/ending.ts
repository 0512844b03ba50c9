import { Broken, NotApplicable } from "../waiting.ts";
import { type Check, everyType, givers, sources, takers } from "./check.ts";
import { acknowledgesAll, acknowledgingDownstream, endUpstream, leaves, leavesAsCompleted } from "./steps.ts";

export const endingChecks: readonly Check[] = [
  {
    id: "end/completes",
    title: "deregisters as completed and exits with 0 when its data has ended and is acknowledged",
    fix: "After the end of every upstream (a source: of its own data) and the last ack, send EndOfStream to every group, deregister with COMPLETED and exit with 0.",
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
      if (below !== undefined && below.endOfStream !== below.events.length) {
        throw new Broken(`EndOfStream says ${below.endOfStream} after ${below.events.length} events`);
      }
    },
  },
  {
    id: "end/after-acks",
    title: "sends EndOfStream only after everything is acknowledged",
    fix: "Wait for the acks of every event of the group before EndOfStream.",
    types: sources,
    needs: ["end/completes"],
    async run(bench) {
      if (!bench.facts.finite) throw new NotApplicable("the source does not end by itself");
      bench.needsOutput(1);
      await bench.launch();
      const below = bench.below();
      await bench.arrived(below, bench.facts.produced);
      await bench.quiet(
        () =>
          (below.endOfStream !== undefined && "EndOfStream came before the acks") ||
          (bench.component?.exit() && "it exited before the acks"),
      );
      below.acknowledge = true;
      below.ackAll();
      await leavesAsCompleted(bench, "after the last ack");
    },
  },
  {
    id: "end/every-instance",
    title: "goes on while one of its upstream instances has not ended",
    fix: "EndOfStream ends one stream; an upstream has ended when desired_instances of its instances have, or when the topology says completed.",
    types: takers,
    needs: ["end/completes", "watch/added"],
    async run(bench) {
      await bench.launch();
      await bench.subscribed();
      const second = bench.newUpstream("above-2");
      await second.start();
      bench.controlPlane.announce(bench.topology([bench.above, second], { desired: 2 }));
      acknowledgingDownstream(bench);
      await acknowledgesAll(bench, bench.fresh(2), second);
      (await bench.subscribed()).end();
      bench.controlPlane.announce(bench.topology([bench.above, second], { completed: [bench.above], desired: 2 }));
      await bench.quiet(() => bench.component?.exit() && "it exited when the first of two upstream instances ended");
      await acknowledgesAll(bench, bench.fresh(2), second);
    },
  },
  {
    id: "end/late-instance",
    title: "waits for upstream instances that have not come yet",
    fix: "Do not end when every stream has ended, but when Upstream.desired_instances have ended or Upstream.completed is set.",
    types: takers,
    needs: ["end/every-instance"],
    async run(bench) {
      await bench.launch({ upstreamInstances: 2 });
      acknowledgingDownstream(bench);
      await acknowledgesAll(bench, bench.fresh(2));
      (await bench.subscribed()).end();
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
    id: "stop/exit",
    title: "deregisters as stopped and exits with 0 on SIGTERM",
    fix: "Handle SIGTERM: stop taking new data, finish what was begun, deregister with STOPPED, exit with 0.",
    types: everyType,
    async run(bench) {
      await bench.launch();
      await bench.until(() => bench.controlPlane.watchers > 0, "it has not called WatchTopology");
      bench.component?.terminate();
      await leaves(bench, ["DEREGISTER_REASON_STOPPED"], "on SIGTERM", bench.timing.graceMs + slackMs);
    },
  },
  {
    id: "stop/waits",
    title: "waits on SIGTERM for the acks of what it has sent, and passes them on",
    fix: "After SIGTERM keep the streams open until everything sent is acknowledged or the grace period is nearly over.",
    types: givers,
    needs: ["stop/exit", "publish/sends"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: 3, maxBytes: 1_000_000_000 } });
      const events = await bench.produce(3);
      await bench.arrived(below, 3);
      bench.component?.terminate();
      await bench.quiet(() => bench.component?.exit() && "it exited with events unacknowledged and grace left");
      if (bench.facts.type === "processor") {
        const stream = await bench.subscribed();
        below.acknowledge = true;
        below.ackAll();
        await bench.until(
          () => stream.acked >= events.length,
          () => `it passed ${stream.acked} of ${events.length} acks on`,
          { mayExit: true, timeoutMs: bench.timing.graceMs },
        );
      } else {
        below.acknowledge = true;
        below.grant({ maxSequence: 1_000_000_000, maxBytes: 1_000_000_000_000 });
        below.ackAll();
      }
      // The data of one that ends by itself has ended then, whoever told it to stop.
      const reason = bench.facts.finite ? "DEREGISTER_REASON_COMPLETED" : "DEREGISTER_REASON_STOPPED";
      await leaves(bench, [reason, "DEREGISTER_REASON_STOPPED"], "after the acks", bench.timing.graceMs + slackMs);
    },
  },
  {
    id: "stop/no-end",
    title: "sends no EndOfStream when it is told to stop",
    fix: "EndOfStream says that the data has ended for good; a stopped component has a successor.",
    types: givers,
    needs: ["stop/exit", "publish/sends"],
    async run(bench) {
      if (bench.facts.type === "source" && bench.facts.finite) {
        throw new NotApplicable("the source ends by itself, so that the two ends cannot be told apart");
      }
      await bench.launch();
      const below = bench.below({ acknowledge: true });
      await bench.produce(1);
      await bench.arrived(below, 1);
      bench.component?.terminate();
      await bench.exited(bench.timing.graceMs + slackMs, "on SIGTERM");
      await bench.quiet(() => below.endOfStream !== undefined && "it sent EndOfStream on SIGTERM");
    },
  },
  {
    id: "stop/nothing-new",
    title: "makes no new events after SIGTERM",
    fix: "Stop reading from outside as soon as SIGTERM comes.",
    types: sources,
    needs: ["stop/exit", "publish/sends"],
    async run(bench) {
      if (bench.facts.finite) throw new NotApplicable("the source ends by itself");
      await bench.launch();
      const below = bench.below({ acknowledge: true });
      await bench.arrived(below, 1);
      bench.component?.terminate();
      // What it had made by then may still come; then it has to be still.
      const deadline = performance.now() + bench.timing.graceMs * 0.6;
      for (let before = -1; before < below.events.length; ) {
        if (performance.now() > deadline) throw new Broken("events still came when most of the grace period was over");
        before = below.events.length;
        await bench.happens(() => below.events.length > before, bench.timing.quietMs);
      }
      await leaves(bench, ["DEREGISTER_REASON_STOPPED"], "on SIGTERM", bench.timing.graceMs + slackMs);
    },
  },
  {
    id: "stop/grace",
    title: "exits within its grace period even when nobody acknowledges",
    fix: "Give up waiting shortly before FLOWCTL_STOP_GRACE_MS is over, deregister with STOPPED and exit with 0.",
    types: givers,
    needs: ["stop/exit", "publish/sends"],
    async run(bench) {
      await bench.launch();
      const below = bench.below();
      await bench.produce(1);
      await bench.arrived(below, 1);
      bench.component?.terminate();
      await leaves(
        bench,
        ["DEREGISTER_REASON_STOPPED"],
        "on SIGTERM with nothing acknowledged",
        bench.timing.graceMs + slackMs,
      );
    },
  },
];

/** What starting and ending a program takes on a busy machine. */
const slackMs = 3_000;
