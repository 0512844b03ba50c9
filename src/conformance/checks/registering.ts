import { connect } from "node:net";
import { status } from "@grpc/grpc-js";
import { type Bench, componentId, describeExit, instanceId } from "../bench.ts";
import type { Refusal } from "../refusal.ts";
import { Broken } from "../waiting.ts";
import { type Check, everyType } from "./check.ts";

export const registeringChecks: readonly Check[] = [
  {
    id: "register/identity",
    title: "registers with the pipeline, component and instance that it was given, and an incarnation",
    fix: "Take FLOWCTL_PIPELINE, FLOWCTL_COMPONENT_ID and FLOWCTL_INSTANCE_ID over into RegisterComponent, and make up an incarnation at each start.",
    types: everyType,
    scene: "registered",
    async run(bench) {
      const registration = await bench.launch();
      const wanted = { pipeline: bench.pipeline, componentId, instanceId };
      for (const [key, value] of Object.entries(wanted)) {
        const said = registration[key as keyof typeof wanted];
        if (said !== value) throw new Broken(`it registered ${key} "${said}" instead of "${value}"`);
      }
      if (registration.incarnation === "") throw new Broken("its incarnation is empty");
    },
  },
  {
    id: "register/incarnation",
    title: "registers under another incarnation at each start",
    fix: "Make the incarnation up when the program starts, for instance a random UUID.",
    types: everyType,
    needs: ["register/identity"],
    async run(bench) {
      const first = await bench.launch();
      await bench.component?.kill();
      const second = await bench.launch();
      if (first.incarnation === second.incarnation) {
        throw new Broken(`two starts of the program both registered incarnation "${first.incarnation}"`);
      }
    },
  },
  {
    id: "register/type",
    title: "registers as what it is",
    fix: "Set the type in RegisterComponent; FLOWCTL_COMPONENT_TYPE says what the pipeline takes the component for.",
    types: everyType,
    scene: "registered",
    async run(bench) {
      const registration = await bench.launch();
      const wanted = `COMPONENT_TYPE_${bench.facts.type.toUpperCase()}`;
      if (registration.type !== wanted) throw new Broken(`it registered as ${registration.type}, not as ${wanted}`);
    },
  },
  {
    id: "register/address",
    title: "registers the address that others dial, and listens there by then (a sink: none)",
    fix: "Bind FLOWCTL_LISTEN first, then register FLOWCTL_ADVERTISE as the address. A sink leaves it empty.",
    types: everyType,
    scene: "registered",
    async run(bench) {
      const { address } = await bench.launch();
      const wanted = bench.facts.type === "sink" ? "" : bench.listen;
      if (address !== wanted) throw new Broken(`it registered the address "${address}" instead of "${wanted}"`);
      if (wanted !== "" && !(await answers(wanted)))
        throw new Broken(`nothing listens at ${wanted} after registration`);
    },
  },
  {
    id: "register/health-endpoint",
    title: "registers where its /health is",
    fix: "Register the host of FLOWCTL_ADVERTISE with FLOWCTL_HEALTH_PORT as health_endpoint, and serve it before registering.",
    types: everyType,
    scene: "registered",
    async run(bench) {
      const { healthEndpoint } = await bench.launch();
      const wanted = `127.0.0.1:${bench.healthPort}`;
      if (healthEndpoint !== wanted) {
        throw new Broken(`it registered the health endpoint "${healthEndpoint}" instead of "${wanted}"`);
      }
    },
  },
  {
    id: "register/again",
    title: "tries again while the control plane cannot be reached, or refuses it for now",
    fix: "After UNAVAILABLE, NOT_FOUND, DEADLINE_EXCEEDED and INTERNAL of RegisterComponent, call it again after a growing pause, as the same incarnation.",
    types: everyType,
    needs: ["register/identity"],
    async run(bench) {
      const { controlPlane } = bench;
      await bench.launchOnly({ controlPlaneAway: true });
      await bench.quiet(() => bench.component?.exit() && "it exited because nobody answered its RegisterComponent");
      await controlPlane.dropConnections();
      // That it goes on is seen only once it has failed: one that starts slowly has not tried yet.
      await bench.until(
        () => controlPlane.dropped > 1,
        () => `it connected to a control plane that is away ${controlPlane.dropped} times, and not again`,
        { timeoutMs: bench.timing.startMs + bench.timing.stepMs },
      );
      const refusals: readonly Refusal[] = [
        { status: status.UNAVAILABLE, code: "registry/no-pipeline", message: "not yet" },
        { status: status.UNAVAILABLE, code: "registry/instance-alive", message: "not yet" },
        { status: status.NOT_FOUND, code: "registry/unknown-component", message: "not yet" },
        { status: status.DEADLINE_EXCEEDED, code: "", message: "too late" },
        { status: status.INTERNAL, code: "", message: "a mishap" },
      ];
      controlPlane.registrationRefusals.push(...refusals);
      await controlPlane.start();
      const refused = () => refusals.length - controlPlane.registrationRefusals.length;
      await bench.until(
        () => controlPlane.registrations.length > 0,
        () =>
          refused() === 0
            ? "it has not called RegisterComponent since the control plane is there"
            : `it has not called RegisterComponent again after ${status[refusals[refused() - 1]!.status]}, which passes`,
        // Its pauses have grown meanwhile, and grow with each.
        { timeoutMs: bench.timing.startMs + refusals.length * bench.timing.stepMs },
      );
      await bench.until(() => controlPlane.heartbeats.length > 0, "no heartbeat followed its registration");
    },
  },
  {
    id: "register/refused",
    title: "ends with an error, and the reason as its last line, when its registration is refused for good",
    fix: "After any status of RegisterComponent but UNAVAILABLE, NOT_FOUND, DEADLINE_EXCEEDED and INTERNAL, write the message as the last line to stderr and exit with another code than 0.",
    types: everyType,
    needs: ["register/identity"],
    async run(bench) {
      const message = "conformance: the pipeline file takes it for something else";
      await isRefused(bench, { status: status.INVALID_ARGUMENT, code: "registry/wrong-type", message });
      const lines = bench.component?.errorOutput() ?? [];
      const last = lines.findLast((line) => line.trim() !== "") ?? "";
      if (!last.includes(message))
        throw new Broken(`its last line on stderr is "${last.trim().slice(0, 120)}", without "${message}"`);
      const gone = "conformance: there is no such instance";
      await isRefused(bench, { status: status.FAILED_PRECONDITION, code: "registry/not-an-instance", message: gone });
    },
  },
];

/** Starts it, refuses each of its registrations, and waits until it has ended with an error. */
async function isRefused(bench: Bench, refusal: Refusal): Promise<void> {
  const { controlPlane, timing } = bench;
  const refusals = Array.from({ length: 1_000 }, () => refusal);
  controlPlane.registrationRefusals.push(...refusals);
  await bench.launchOnly();
  const when = `after its registration was refused with ${refusal.code}`;
  const exit = await bench.exited(timing.startMs + timing.stepMs, when);
  const asked = controlPlane.registrationRefusals.splice(0).length < refusals.length;
  if (!asked) throw new Broken("it exited without having called RegisterComponent");
  if (exit.code === 0 || exit.code === null) throw new Broken(`it exited with ${describeExit(exit)} ${when}`);
}

function answers(address: string): Promise<boolean> {
  const [host, port] = address.split(":");
  return new Promise((resolve) => {
    const socket = connect({ host: host ?? "", port: Number(port) });
    const end = (connected: boolean) => {
      socket.destroy();
      resolve(connected);
    };
    socket.on("connect", () => end(true));
    socket.on("error", () => end(false));
  });
}
