import { status } from "@grpc/grpc-js";
import { type Bench, instanceId } from "../bench.ts";
import type { TestIdentity } from "../test-identity.ts";
import { Broken } from "../waiting.ts";
import { type Check, everyType } from "./check.ts";

/** How long a certificate lasts, and what comes after it. */
export const renewingChecks: readonly Check[] = [
  {
    id: "identity/renews",
    title: "renews its certificate before it expires",
    fix: "Call Renew, with the working certificate, as soon as renew_after of the last answer is over, also while nothing else happens.",
    types: everyType,
    identity: true,
    scene: "renewing",
    idle: true,
    needs: ["identity/joins-first"],
    run: async (bench) => void (await renewed(await launched(bench), bench)),
  },
  {
    id: "identity/renewal-keeps-streams",
    title: "keeps the streams that are open, on both sides of it, when its certificate is renewed",
    fix: "Use the new certificate for new connections, and leave those alone that streams are open on.",
    types: everyType,
    identity: true,
    scene: "renewing",
    needs: ["identity/renews"],
    async run(bench) {
      const identity = await launched(bench);
      const above = bench.facts.type === "source" ? undefined : await bench.subscribed();
      // Nothing is sent on it: who has nothing more to give may end.
      const below = bench.facts.type === "sink" ? undefined : bench.below({ credit: { maxSequence: 0, maxBytes: 0 } });
      if (below !== undefined) await bench.until(() => below.opened, "it has not opened the subscription");
      await renewed(identity, bench);
      await bench.quiet(() => {
        if (above?.ended) return "its stream to the upstream ended when its certificate was renewed";
        return below?.lost !== undefined && "the stream of its subscriber ended when its certificate was renewed";
      });
      below?.close();
    },
  },
  {
    id: "identity/newest",
    title: "calls, dials and serves with its newest certificate",
    fix: "Make a new connection to the control plane after each renewal, dial upstreams by a new connection, and let your server use the new certificate for whoever connects from then on.",
    types: everyType,
    identity: true,
    scene: "renewing",
    needs: ["identity/renews"],
    async run(bench) {
      const identity = await launched(bench);
      await renewed(identity, bench);
      await bench.until(
        () => identity.calledWith === identity.newest?.serial,
        "it goes on calling the control plane by a connection that it made with an earlier certificate",
      );
      await servesWithNewest(bench, identity);
      await dialsWithNewest(bench, identity);
    },
  },
  {
    id: "identity/renewal-refused",
    title: "goes on, and asks again, when Renew is refused because it is not wanted any more",
    fix: "After any refusal of Renew but identity/superseded, go on with the certificate that you have, and call it again after a growing pause.",
    types: everyType,
    identity: true,
    scene: "renewing",
    needs: ["identity/renews"],
    async run(bench) {
      const identity = await launched(bench);
      const message = "conformance: the pipeline does not have this instance (any more)";
      identity.renewalRefusals.push({ status: status.PERMISSION_DENIED, code: "identity/not-wanted", message });
      await renewed(identity, bench, "after Renew was refused with identity/not-wanted");
    },
  },
  {
    id: "identity/expired",
    title: "joins again when its certificate has expired",
    fix: "When the working certificate has expired because Renew could not be called, call Join with what is in the files by then, and make new connections with what it brings.",
    types: everyType,
    identity: true,
    scene: "renewing",
    needs: ["identity/renews", "identity/joins-again"],
    async run(bench) {
      const identity = await launched(bench);
      const refusal = { status: status.UNAVAILABLE, code: "", message: "conformance: not now" };
      identity.renewalRefusals.push(...Array.from({ length: 1_000 }, () => refusal));
      const { joined } = identity;
      const { certificateMs, stepMs } = bench.timing;
      await bench.until(() => identity.joined > joined, "its certificate has expired, and it has not joined again", {
        timeoutMs: 2 * certificateMs + stepMs,
      });
      identity.renewalRefusals.length = 0;
      await bench.until(
        () => identity.calledWith === identity.newest?.serial,
        "it has joined again, and calls nothing with the certificate that this brought",
      );
    },
  },
];

/** Starts it with certificates that are good for a short while. */
async function launched(bench: Bench): Promise<TestIdentity> {
  await bench.makeIdentity();
  const identity = bench.requiredIdentity;
  identity.lifeMs = bench.timing.certificateMs;
  await bench.launch();
  return identity;
}

/** Waits until it has renewed its certificate once more. */
async function renewed(identity: TestIdentity, bench: Bench, when = ""): Promise<void> {
  const { joined, renewed: before, renewCalls } = identity;
  const { certificateMs, stepMs } = bench.timing;
  await bench.until(
    () => identity.renewed > before || identity.joined > joined,
    () =>
      identity.renewCalls > renewCalls
        ? `it has not called Renew again ${when}`
        : `it has not renewed its certificate ${when}`,
    { timeoutMs: certificateMs + stepMs },
  );
  if (identity.renewed === before) throw new Broken(`it let its certificate expire ${when}, and joined again`);
}

/** Whoever connects from now on is shown the newest certificate, as soon as the component has it. */
async function servesWithNewest(bench: Bench, identity: TestIdentity): Promise<void> {
  if (bench.facts.type === "sink") return;
  const isOver = AbortSignal.timeout(bench.timing.stepMs);
  while (!isOver.aborted) {
    const below = bench.below({ credit: { maxSequence: 0, maxBytes: 0 } });
    await bench.until(() => below.opened, "nobody can subscribe since its certificate was renewed");
    below.close();
    if (below.served === identity.newest?.serial) return;
  }
  throw new Broken(`${instanceId} serves with an earlier certificate than its newest one`);
}

/** Whom it dials from now on it shows the newest certificate. */
async function dialsWithNewest(bench: Bench, identity: TestIdentity): Promise<void> {
  if (bench.facts.type === "source") return;
  const before = identity.newest?.serial;
  const second = bench.newUpstream("above-2");
  await second.start();
  bench.controlPlane.announce(bench.topology([bench.above, second], { desired: 2 }));
  await bench.subscribed(second);
  const after = identity.newest?.serial;
  if (second.shown !== before && second.shown !== after)
    throw new Broken("it dialled an upstream instance with an earlier certificate than its newest one");
  bench.controlPlane.announce(bench.topology([bench.above]));
  const gone = () => second.live === undefined;
  await bench.until(gone, "it has not left the second upstream instance that is gone");
}
