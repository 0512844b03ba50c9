import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import type { Name } from "../../identity/names.ts";
import { peerOfPem } from "../../identity/peer.ts";
import { type Bench, componentId, instanceId } from "../bench.ts";
import type { Impostor } from "../impostor.ts";
import type { UpstreamMessage } from "../messages.ts";
import { type DownstreamOptions, plenty } from "../test-downstream.ts";
import { Broken } from "../waiting.ts";
import { type Check, consumers, everyType, producers } from "./check.ts";

/** Whom a component believes, and how it proves who it is itself. */
export const provingChecks: readonly Check[] = [
  {
    id: "identity/control-plane-authority",
    title: "says nothing to a control plane whose certificate another authority has made",
    fix: "Trust nobody but the authority in FLOWCTL_TLS_CA: not those of the machine, and not everybody.",
    types: everyType,
    identity: true,
    scene: "deceived",
    needs: ["identity/joins-first"],
    run: (bench) =>
      isDeceived(bench, async () => {
        await bench.makeIdentity();
        return bench.requiredIdentity.certificateOf(controlPlaneOf(bench), "another");
      }),
  },
  {
    id: "identity/control-plane-name",
    title: "says nothing to a control plane that shows the certificate of somebody else in the pipeline",
    fix: "Check that the certificate of the control plane has the DNS name control-plane, or its URI spiffe://<pipeline>/control-plane, on every connection.",
    types: everyType,
    identity: true,
    scene: "deceived",
    needs: ["identity/joins-first"],
    run: (bench) =>
      isDeceived(bench, async () => {
        await bench.makeIdentity();
        return bench.requiredIdentity.certificateOf(instanceOf(bench, "above", "above-1"));
      }),
  },
  {
    id: "identity/two-files",
    title: "puts both parts into both files where its certificate and its key are in two of them",
    fix: "Write the next joining certificate and its key, together, first into the file of FLOWCTL_TLS_KEY and then into the one of FLOWCTL_TLS_CERT, each as a whole; at a start a file of the key that has a certificate as well has the newer pair.",
    types: everyType,
    identity: true,
    scene: "deceived",
    needs: ["identity/keeps-next"],
    run: async (bench) => void (await bench.launch({ twoFiles: true })),
  },
  {
    id: "identity/upstream",
    title: "subscribes at nobody who shows a certificate of another authority, or that of another instance",
    fix: "Check that the certificate of an upstream instance is of the authority in FLOWCTL_TLS_CA and has the id of the instance that the topology names as its DNS name, whatever its address.",
    types: consumers,
    identity: true,
    scene: "taking",
    needs: ["identity/joins-first", "watch/added"],
    async run(bench) {
      await bench.launch();
      await bench.subscribed();
      const identity = bench.requiredIdentity;
      for (const [who, shown] of [
        ["another authority's certificate", identity.certificateOf(instanceOf(bench, "above", "above-2"), "another")],
        ["the certificate of above-1", identity.certificateOf(instanceOf(bench, "above", "above-1"))],
      ] as const) {
        const impostor = await bench.impostor(shown);
        bench.controlPlane.announce(withSecond(bench, impostor.address));
        await isSeenThrough(bench, impostor, `${who} in the place of above-2`);
        bench.controlPlane.announce(bench.topology([bench.above]));
        await impostor.stop();
      }
    },
  },
  {
    id: "identity/serves",
    title: "serves by TLS 1.3, with its own working certificate",
    fix: "Serve EventStream by TLS 1.3, with the working certificate and its key.",
    types: producers,
    identity: true,
    scene: "registered",
    needs: ["identity/joins-first"],
    async run(bench) {
      await bench.launch();
      const { certificate, protocol } = await shownAt(bench);
      if (protocol !== "TLSv1.3") throw new Broken(`its server speaks ${protocol}`);
      const { raw } = certificate;
      const peer = peerOfPem(toPem(raw));
      const name = peer?.name;
      const isOwn = name?.role === "component" && name.component === componentId && name.instance === instanceId;
      if (!isOwn || name.pipeline !== bench.pipeline)
        throw new Broken(`its server shows the certificate of ${certificate.subjectaltname ?? "nobody"}`);
      if (!new X509Certificate(raw).verify(new X509Certificate(bench.requiredIdentity.ca).publicKey))
        throw new Broken("its server shows a certificate that the authority of the pipeline has not made");
    },
  },
  {
    id: "identity/subscriber-authority",
    title: "serves nobody who shows no certificate, or one of another authority",
    fix: "Require a certificate of whoever connects, and trust nobody but the authority in FLOWCTL_TLS_CA.",
    types: producers,
    identity: true,
    scene: "refusing",
    needs: ["publish/sends"],
    async run(bench) {
      await isNotServed(bench, { shows: "nothing", instanceId: "below-2" }, "a subscriber without a certificate");
      const other = "a subscriber with a certificate of another authority";
      await isNotServed(bench, { shows: "another authority", instanceId: "below-2" }, other);
    },
  },
  {
    id: "identity/subscriber-name",
    title: "serves nobody whose certificate is not that of the group and the instance in Open",
    fix: "Take who subscribes from the URI of the certificate, spiffe://<pipeline>/component/<component>/<instance>, and end the stream with PERMISSION_DENIED where the group or the instance of Open is another.",
    types: producers,
    identity: true,
    scene: "refusing",
    needs: ["publish/sends"],
    async run(bench) {
      const own = instanceOf(bench, "below", "below-2");
      for (const [what, shows] of [
        ["of another instance of the group", instanceOf(bench, "below", "below-3")],
        ["of another component", instanceOf(bench, "beside", "below-2")],
        ["that only joins", { ...own, role: "joining" }],
        ["of the operator", { role: "operator", pipeline: bench.pipeline }],
        ["of another pipeline", { ...own, pipeline: "another-pipeline" }],
      ] as const satisfies readonly (readonly [string, Name])[]) {
        await isNotServed(bench, { shows, instanceId: "below-2" }, `below-2 with a certificate ${what}`);
      }
    },
  },
  {
    id: "identity/subscriber-below",
    title: "serves no component that is not below it in the topology",
    fix: "End a stream whose group is not in Topology.downstreams with an error, whoever its certificate is of.",
    types: producers,
    identity: true,
    scene: "refusing",
    needs: ["publish/sends"],
    run: (bench) =>
      isNotServed(bench, { group: "stranger", instanceId: "stranger-1" }, "a component that is not below it"),
  },
];

function controlPlaneOf(bench: Bench): Name {
  return { role: "control-plane", pipeline: bench.pipeline };
}

function instanceOf(bench: Bench, component: string, instance: string) {
  return { role: "component", pipeline: bench.pipeline, component, instance } as const;
}

/** Somebody else answers in the place of the control plane, at the start of the component or while it runs. Then it is back. */
async function isDeceived(bench: Bench, shown: () => Promise<Parameters<Bench["impostor"]>[0]>): Promise<void> {
  const { controlPlane, timing } = bench;
  const isNew = !bench.isRunning;
  if (isNew) await bench.launchOnly({ controlPlaneAway: true, twoFiles: true });
  else controlPlane.stop();
  const impostor = await bench.impostor(await shown(), controlPlane.port);
  await isSeenThrough(bench, impostor, "somebody else in the place of the control plane", timing.startMs);
  await impostor.stop();
  const before = controlPlane.registrations.length;
  const { length } = controlPlane.heartbeats;
  await controlPlane.start();
  await bench.until(
    () => controlPlane.registrations.length > before && controlPlane.heartbeats.length > length,
    "it has not registered since the control plane is back, or sent no heartbeat since",
    { timeoutMs: timing.startMs + timing.stepMs },
  );
}

/** It connects, and then again, and asks for nothing. */
async function isSeenThrough(bench: Bench, impostor: Impostor, who: string, patienceMs = 0): Promise<void> {
  const asked = () => impostor.calls[0] !== undefined && `it called ${impostor.calls[0].slice(1)} of ${who}`;
  // The first connection has been judged when there is a second.
  await bench.until(
    () => impostor.connections > 1 || asked(),
    () => `it connected ${impostor.connections} times to ${who}, and not again`,
    { timeoutMs: bench.timing.stepMs + patienceMs },
  );
  const seen = asked();
  if (seen) throw new Broken(seen);
}

/** The topology with another instance above, at an address. */
function withSecond(bench: Bench, address: string) {
  const topology = bench.topology([bench.above], { desired: 2 });
  const second = { instanceId: "above-2", address, completed: false };
  const upstreams = topology.upstreams.map((upstream: UpstreamMessage) =>
    upstream.componentId === "above" ? { ...upstream, instances: [...upstream.instances, second] } : upstream,
  );
  return { ...topology, upstreams };
}

/** Somebody subscribes who is to be refused, beside somebody who is served. */
async function isNotServed(bench: Bench, liar: DownstreamOptions, who: string): Promise<void> {
  await bench.launch();
  const good = bench.below({ credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
  await bench.until(() => good.opened, "it has not opened the subscription");
  const bad = bench.below({ ...liar, once: true });
  await bench.until(
    () => bad.lastEnd ?? bad.opened,
    `the stream of ${who} is still open, and neither opened nor ended`,
  );
  if (bad.opened !== undefined) throw new Broken(`it serves ${who}`);
  bad.close();
  if (good.lost !== undefined)
    throw new Broken(`it ended the stream that it was right to have, with status ${good.lost.code}, because of ${who}`);
  good.close();
}

/** What the component's server shows to whoever connects. */
async function shownAt(bench: Bench) {
  const [host = "", port = ""] = bench.listen.split(":");
  const { certificate, key } = bench.requiredIdentity.certificateOf(instanceOf(bench, "below", "below-1"));
  // Whoever it is: that is looked at afterwards.
  const options = {
    host,
    port: Number(port),
    cert: certificate,
    key,
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
  };
  const socket = connect(options);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
      socket.setTimeout(bench.timing.stepMs, () => reject(new Error("it does not answer")));
    });
    return { certificate: socket.getPeerCertificate(), protocol: socket.getProtocol() };
  } catch (error) {
    throw new Broken(`its server does not speak TLS: ${String(error)}`);
  } finally {
    socket.destroy();
  }
}

function toPem(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`;
}
