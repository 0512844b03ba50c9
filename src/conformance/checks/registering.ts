import { connect } from "node:net";
import { componentId, instanceId } from "../bench.ts";
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
];

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
