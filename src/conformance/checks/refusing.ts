import type { Bench } from "../bench.ts";
import { type DownstreamOptions, plenty, type TestDownstream } from "../test-downstream.ts";
import { Broken } from "../waiting.ts";
import { type Check, producers } from "./check.ts";

export const refusingChecks: readonly Check[] = [
  {
    id: "refuse/pipeline",
    title: "refuses a subscription for another pipeline",
    fix: "Compare Open.pipeline with FLOWCTL_PIPELINE and end the stream with an error when it differs.",
    types: producers,
    scene: "refusing",
    needs: ["publish/sends"],
    run: (bench) => costsOnlyItself(bench, { pipeline: "another-pipeline", instanceId: "below-2" }, () => {}),
  },
  {
    id: "refuse/instance",
    title:
      "refuses a subscription that is meant for another instance, and keeps the stream that it would have replaced",
    fix: "Unless it is empty, compare Open.upstream_instance_id with FLOWCTL_INSTANCE_ID before anything else, and end the stream with FAILED_PRECONDITION when it differs.",
    types: producers,
    scene: "refusing",
    needs: ["publish/sends"],
    run: (bench) => costsOnlyItself(bench, { meant: "subject-2", instanceId: "below-1" }, () => {}),
  },
  {
    id: "refuse/no-open",
    title: "ends a stream that does not begin with Open, and no other",
    fix: "End the stream with INVALID_ARGUMENT when the first request is not Open.",
    types: producers,
    scene: "refusing",
    needs: ["publish/sends"],
    run: (bench) => costsOnlyItself(bench, { instead: { ack: { sequence: 1 } } }, () => {}),
  },
  {
    id: "refuse/unsent-ack",
    title: "ends a stream that acknowledges what was never sent, and no other",
    fix: "End the stream with an error when an ack is above the last sequence number that was sent on it.",
    types: producers,
    scene: "refusing",
    needs: ["publish/sends"],
    run: (bench) =>
      costsOnlyItself(bench, { instanceId: "below-2", credit: { maxSequence: 0, maxBytes: 0 } }, (liar) =>
        liar.ack(1_000_000),
      ),
  },
  {
    id: "refuse/garbage",
    title: "ends a stream that sends garbage, and no other",
    fix: "Let the error of the protobuf library end the one stream; catch it so that it does not end the program.",
    types: producers,
    scene: "refusing",
    needs: ["publish/sends"],
    run: (bench) =>
      costsOnlyItself(bench, { instanceId: "below-2", credit: { maxSequence: 0, maxBytes: 0 } }, (liar) =>
        liar.sendRaw(Buffer.from("ffffffffffffffffffffffff", "hex")),
      ),
  },
];

/** Opens a good stream and a bad one: the bad one has to end by an error, the good one has to go on. */
async function costsOnlyItself(
  bench: Bench,
  bad: DownstreamOptions,
  provoke: (liar: TestDownstream) => void,
): Promise<void> {
  await bench.launch();
  // A source that ends by itself lives as long as something of it is unacknowledged.
  const good = bench.below({ credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
  await bench.until(() => good.opened, "it has not opened the subscription");
  await bench.produce(2);
  await bench.arrived(good, 1);
  const liar = bench.below({ ...bad, once: true });
  if (bad.credit !== undefined) await bench.until(() => liar.opened, "it has not opened the second subscription");
  provoke(liar);
  await bench.until(() => liar.ended, "the stream is still open");
  if (!liar.refused) throw new Broken("the stream ended with OK instead of with an error");
  if (liar.events.length > 0) throw new Broken(`it sent ${liar.events.length} events on that stream`);
  good.grant(plenty);
  await bench.arrived(good, 2);
  if (bad.meant !== undefined && good.lost !== undefined)
    throw new Broken(`it ended the stream that it was right to have, with status ${good.lost.code}`);
  if (good.refused) throw new Broken(`the good stream ended too, with status ${good.ended?.code}`);
}
