import { plenty } from "../test-downstream.ts";
import { Broken, NotApplicable } from "../waiting.ts";
import { type Check, everyType, producers, sources } from "./check.ts";
import { leaves } from "./steps.ts";

export const stoppingChecks: readonly Check[] = [
  {
    id: "stop/exit",
    title: "deregisters as stopped and exits with 0 on SIGTERM",
    fix: "Handle SIGTERM: stop taking new data, finish what was begun, deregister with STOPPED, exit with 0.",
    types: everyType,
    async run(bench) {
      await bench.launch();
      await bench.until(() => bench.controlPlane.watchers > 0, "it has not called WatchTopology");
      bench.component?.terminate();
      await leaves(bench, ["DEREGISTER_REASON_STOPPED"], "on SIGTERM", bench.timing.graceMs + bench.timing.slackMs);
    },
  },
  {
    id: "stop/last-word",
    title: "registers no more once the control plane has heard its last word",
    fix: "Before DeregisterComponent end the loop of heartbeats and the watch, and wait for the call that is under way: from then on a heartbeat is answered with NOT_FOUND, and whoever takes that for a reason to register is there again.",
    types: everyType,
    needs: ["stop/exit", "heartbeat/interval"],
    async run(bench) {
      const { controlPlane } = bench;
      controlPlane.withholdDeregistrations = true;
      await bench.launch();
      await bench.until(() => controlPlane.heartbeats.length > 0, "no heartbeat came");
      const { length } = controlPlane.registrations;
      bench.component?.terminate();
      await bench.until(() => controlPlane.deregistrations.length > 0, "it has not called DeregisterComponent", {
        timeoutMs: bench.timing.graceMs + bench.timing.slackMs,
      });
      // As long as a control plane may take that has much to write.
      const answered = bench.timing.heartbeatMs * 3;
      const again = () => controlPlane.registrations.length > length || bench.component?.exit() !== undefined;
      await bench.happens(again, answered);
      controlPlane.answerDeregistrations();
      await bench.exited(bench.timing.graceMs + bench.timing.slackMs, "after DeregisterComponent");
      if (controlPlane.registrations.length > length)
        throw new Broken("it registered again after it had called DeregisterComponent");
    },
  },
  {
    id: "stop/waits",
    title: "waits on SIGTERM for the acks of what it has sent, and passes them on",
    fix: "After SIGTERM keep the streams open until everything sent is acknowledged or the grace period is nearly over, and acknowledge above what that finishes.",
    types: producers,
    needs: ["stop/exit", "publish/sends"],
    async run(bench) {
      await bench.launch();
      // A processor may make several of one: all of them have to be on their way for its inputs to be acknowledged.
      const isProcessor = bench.facts.type === "processor";
      const below = bench.below({ credit: { ...plenty, ...(isProcessor ? {} : { maxSequence: 3 }) } });
      const events = await bench.produce(3);
      await bench.arrived(below, Math.max(3, bench.expectedOutputs(events)));
      bench.component?.terminate();
      await bench.quiet(() => bench.component?.exit() && "it exited with events unacknowledged and grace left", {
        inGrace: true,
      });
      if (isProcessor) {
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
        below.grant(plenty);
        below.ackAll();
      }
      // The data of one that ends by itself has ended then, whoever told it to stop.
      const reason = bench.facts.finite ? "DEREGISTER_REASON_COMPLETED" : "DEREGISTER_REASON_STOPPED";
      await leaves(
        bench,
        [reason, "DEREGISTER_REASON_STOPPED"],
        "after the acks",
        bench.timing.graceMs + bench.timing.slackMs,
      );
    },
  },
  {
    id: "stop/position",
    title: "stores, when it is told to stop, the position after what is acknowledged meanwhile",
    fix: "After SIGTERM and the last ack call SaveCheckpoint once more, and exit only once it is answered or the grace period is nearly over.",
    types: sources,
    needs: ["stop/waits", "checkpoint/after-ack"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: 3, maxBytes: plenty.maxBytes } });
      await bench.produce(3);
      await bench.arrived(below, 3);
      bench.component?.terminate();
      await bench.quiet(() => undefined, { inGrace: true });
      below.acknowledge = true;
      below.grant(plenty);
      below.ackAll();
      await bench.exited(bench.timing.graceMs + bench.timing.slackMs, "on SIGTERM");
      if (bench.controlPlane.checkpoints.length === 0)
        throw new Broken("it stored no position after what it had sent was acknowledged: all of it will come again");
    },
  },
  {
    id: "stop/no-end",
    title: "sends no EndOfStream when it is told to stop",
    fix: "EndOfStream says that the data has ended for good; a stopped component has a successor.",
    types: producers,
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
      await bench.exited(bench.timing.graceMs + bench.timing.slackMs, "on SIGTERM");
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
      await leaves(bench, ["DEREGISTER_REASON_STOPPED"], "on SIGTERM", bench.timing.graceMs + bench.timing.slackMs);
    },
  },
  {
    id: "stop/grace",
    title: "exits within its grace period even when nobody acknowledges",
    fix: "Give up waiting shortly before FLOWCTL_STOP_GRACE_MS is over, deregister with STOPPED and exit with 0.",
    types: producers,
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
        bench.timing.graceMs + bench.timing.slackMs,
      );
    },
  },
];
