import { plenty } from "../test-downstream.ts";
import { Broken } from "../waiting.ts";
import { type Check, producers } from "./check.ts";
import { acknowledgedUpTo } from "./steps.ts";

/** How often an event is nacked to see its pauses grow. */
const nacks = 5;

/** The least that the pause after so many nacks may be, in milliseconds: 50, 100, 200 and so on, less the half that chance may take. */
const leastPause = (nacked: number): number => 25 * 2 ** (nacked - 1);

/** Timers of some systems are so many milliseconds early. */
const early = 2;

/** What becomes of an event that a subscriber cannot process now. */
export const nackingChecks: readonly Check[] = [
  {
    id: "publish/nack",
    title: "sends a nacked event again, under a new sequence number",
    fix: "Take a nacked event as not acknowledged and queue it again for its group.",
    types: producers,
    scene: "giving",
    needs: ["publish/event", "ack/after-below"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
      const [input] = await bench.produce(1);
      await bench.arrived(below, 1);
      below.nack(1);
      below.grant(plenty);
      await bench.until(
        () => below.ids.indexOf(below.ids[0]!, 1) > 0,
        () => `the nacked event "${below.ids[0]}" did not come again`,
      );
      if (input === undefined) return;
      const stream = await bench.subscribed();
      await bench.quiet(() => stream.acked >= stream.sent && "it acknowledged the input of an event that was nacked");
      below.acknowledge = true;
      below.ackAll();
      await acknowledgedUpTo(bench, stream, stream.sent);
    },
  },
  {
    id: "publish/nack-again",
    title: "sends an event again as often as it is nacked, whatever is acknowledged after it",
    fix: "A nacked event is not the stream's any more: take it out of what an ack covers, also when it had been nacked before, and queue it again for its group.",
    types: producers,
    // A start of its own: it acknowledges all that a source may have, and others would find nothing more.
    needs: ["publish/nack"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
      const [input] = await bench.produce(1);
      await bench.arrived(below, 1);
      const [id] = below.ids;
      below.nack(1);
      below.grant(plenty);
      const cameSince = (index: number) => below.ids.indexOf(id!, index);
      const second = await bench.until(
        () => cameSince(1) > 0 && cameSince(1),
        () => `the nacked event "${id}" did not come again`,
      );
      // Acknowledging it as well says only that nothing before it is open: nacked, it is not the stream's any more.
      below.nack(second + 1);
      below.ack(second + 1);
      await bench.until(
        () => cameSince(second + 1) > 0,
        () => `the event "${id}", nacked a second time, did not come again`,
      );
      if (input === undefined) return;
      const stream = await bench.subscribed();
      await bench.quiet(
        () => stream.acked >= stream.sent && "it acknowledged the input of an event that was nacked twice",
      );
      below.acknowledge = true;
      below.ackAll();
      await acknowledgedUpTo(bench, stream, stream.sent);
    },
  },
  {
    id: "publish/nack-pause",
    title: "makes a pause before it sends a nacked event again, twice as long each time",
    fix: "Count how often an event was nacked, and queue it again only after 50 ms, twice as much each further time, up to 5 s.",
    types: producers,
    needs: ["publish/nack-again"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
      await bench.produce(1);
      await bench.arrived(below, 1);
      const [id] = below.ids;
      below.grant(plenty);
      for (let nacked = 1, at = 0; nacked <= nacks; nacked += 1) {
        const before = at;
        const began = performance.now();
        below.nack(before + 1);
        at = await bench.until(
          () => below.ids.indexOf(id!, before + 1) > 0 && below.ids.indexOf(id!, before + 1),
          () => `the event "${id}" did not come again after ${nacked} nacks`,
        );
        // Whatever is slow makes it longer.
        const took = performance.now() - began;
        const least = leastPause(nacked);
        if (took < least - early)
          throw new Broken(`it came again ${Math.round(took)} ms after nack ${nacked}; at least ${least} ms are due`);
      }
    },
  },
];
