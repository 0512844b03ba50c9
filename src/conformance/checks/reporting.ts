import type { Bench } from "../bench.ts";
import type { HeartbeatMessage } from "../messages.ts";
import { Broken } from "../waiting.ts";
import { type Check, everyType } from "./check.ts";

const totals = ["eventsIn", "eventsOut", "bytesIn", "bytesOut", "eventsFailed", "deadLetters", "retries"] as const;

export const reportingChecks: readonly Check[] = [
  {
    id: "heartbeat/interval",
    title: "sends heartbeats at the interval that the registration's answer gives",
    fix: "Call Heartbeat every heartbeat_interval of RegisterComponentResponse (10 s when it is not set).",
    types: everyType,
    scene: "registered",
    async run(bench) {
      const registration = await bench.launch();
      const seen = () => bench.controlPlane.heartbeats.length;
      await bench.until(
        () => seen() >= 4,
        () => `${seen()} of 4 heartbeats came, with an interval of ${bench.timing.heartbeatMs} ms`,
      );
      for (const beat of bench.controlPlane.heartbeats) {
        for (const key of ["pipeline", "componentId", "instanceId", "incarnation"] as const) {
          if (beat[key] !== registration[key]) {
            throw new Broken(`a heartbeat has ${key} "${beat[key]}", the registration has "${registration[key]}"`);
          }
        }
      }
    },
  },
  {
    id: "heartbeat/metrics",
    title: "reports totals in its heartbeats that count every event and never fall",
    fix: "Send in Heartbeat.metrics, as events_in and events_out, how many events came in and went out since the program started.",
    types: everyType,
    needs: ["heartbeat/interval", "ack/all"],
    async run(bench) {
      await bench.launch();
      const downstream = bench.facts.type === "sink" ? undefined : bench.below({ acknowledge: true });
      if (bench.facts.type === "source") {
        bench.needsOutput(1);
        await bench.arrived(downstream!, 1);
      } else {
        const stream = await bench.feed(bench.fresh(5));
        await bench.until(
          () => stream.acked >= 5,
          () => `${stream.acked} of 5 events were acknowledged`,
        );
      }
      const key = bench.facts.type === "source" ? "eventsOut" : "eventsIn";
      const wanted = bench.facts.type === "source" ? 1 : 5;
      // A finite source may be gone before its next heartbeat: its last word counts as well.
      const last = () => lastMetrics(bench)?.[key] ?? 0;
      await bench.until(
        () => last() >= wanted,
        () => `${key} is ${last()} after ${wanted} events went through`,
        {
          mayExit: true,
        },
      );
      const beats = bench.controlPlane.heartbeats.length;
      const gone = () => bench.component?.exit() !== undefined;
      await bench.until(
        () => gone() || bench.controlPlane.heartbeats.length >= beats + 2,
        "its heartbeats have stopped",
        {
          mayExit: true,
        },
      );
      const fallen = firstFall(bench.controlPlane.heartbeats);
      if (fallen !== undefined) throw new Broken(fallen);
    },
  },
  {
    id: "heartbeat/not-found",
    title: "registers again, as the same incarnation, when a heartbeat is answered with NOT_FOUND",
    fix: "On NOT_FOUND from Heartbeat call RegisterComponent again with everything as before.",
    types: everyType,
    needs: ["heartbeat/interval", "register/identity"],
    async run(bench) {
      await launchToFirstBeat(bench);
      bench.controlPlane.forget();
      await registersAgain(bench);
    },
  },
  {
    id: "control-plane/away",
    title: "keeps its streams and goes on with events while the control plane is away",
    fix: "Take every error but NOT_FOUND of a call to the control plane for its absence: keep the streams, and try again after a growing pause.",
    types: everyType,
    needs: ["heartbeat/interval", "ack/all"],
    async run(bench) {
      await launchToFirstBeat(bench);
      if (bench.facts.type !== "source") await bench.subscribed();
      bench.controlPlane.stop();
      await bench.quiet(() => bench.component?.exit() && "it exited when the control plane went away");
      if (bench.facts.type === "source") {
        bench.needsOutput(1);
        await bench.arrived(bench.below(), 1);
        return;
      }
      if (bench.facts.type === "processor") bench.below({ acknowledge: true });
      const stream = await bench.feed(bench.fresh(3));
      await bench.until(
        () => stream.acked >= 3,
        () => `${stream.acked} of 3 events were acknowledged while the control plane was away`,
      );
    },
  },
  {
    id: "control-plane/return",
    title: "registers again, as the same incarnation, when the control plane is back with nothing remembered",
    fix: "Go on sending heartbeats while the control plane is away; its NOT_FOUND then says to register again.",
    types: everyType,
    needs: ["control-plane/away", "heartbeat/not-found"],
    async run(bench) {
      await launchToFirstBeat(bench);
      bench.controlPlane.stop();
      await bench.quiet(() => undefined);
      await bench.controlPlane.start();
      await registersAgain(bench);
    },
  },
];

/** The first heartbeat says that the answer to the registration has arrived. */
async function launchToFirstBeat(bench: Bench): Promise<void> {
  await bench.launch();
  await bench.until(() => bench.controlPlane.heartbeats.length > 0, "no heartbeat came");
}

async function registersAgain(bench: Bench): Promise<void> {
  const again = await bench.until(() => bench.controlPlane.registrations[1], "it has not registered again", {
    timeoutMs: bench.timing.stepMs * 2,
  });
  const first = bench.controlPlane.registrations[0]!;
  if (again.incarnation !== first.incarnation) {
    throw new Broken(`it registered again as incarnation "${again.incarnation}" instead of "${first.incarnation}"`);
  }
  const before = bench.controlPlane.heartbeats.length;
  await bench.until(
    () => bench.controlPlane.heartbeats.length > before,
    "no heartbeat followed the second registration",
  );
}

function lastMetrics(bench: Bench) {
  return bench.controlPlane.deregistrations.at(-1)?.metrics ?? bench.controlPlane.heartbeats.at(-1)?.metrics;
}

function firstFall(beats: readonly HeartbeatMessage[]): string | undefined {
  for (const [index, beat] of beats.entries()) {
    for (const key of totals) {
      const before = beats[index - 1]?.metrics?.[key] ?? 0;
      const now = beat.metrics?.[key] ?? 0;
      if (now < before) return `${key} fell from ${before} to ${now} between two heartbeats`;
    }
  }
  return undefined;
}
