import { createServer, type Server } from "node:http";
import {
  type ControlPlaneSettings,
  type HostedControlPlane,
  runSupervisor,
} from "../../../src/drivers/process/supervisor/supervisor.ts";
import type { SupervisorLaunch } from "../../../src/drivers/process/supervisor/supervisor-launch.ts";
import { systemClock } from "../../../src/foundation/clock.ts";
import { createLogger } from "../../../src/foundation/logger.ts";

// A supervisor with a control plane that does nothing but listen, so that tests of the driver are about the driver.
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());

function listen(address: string): Promise<Server> {
  const [host, port] = address.split(":") as [string, string];
  return new Promise((resolve, reject) => {
    const server = createServer((_request, response) => response.end("ok"));
    server.once("error", reject);
    server.listen(Number(port), host, () => resolve(server));
  });
}

async function startControlPlane(settings: ControlPlaneSettings): Promise<HostedControlPlane> {
  const servers = await Promise.all([settings.grpcListen, settings.httpListen].map(listen));
  return {
    supervise: () => undefined,
    halt: async () => undefined,
    close: async () => {
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
    },
  };
}

const exitCode = await runSupervisor({
  program: [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
  launch: JSON.parse(process.env.FLOWCTL_SUPERVISOR ?? "") as SupervisorLaunch,
  version: "0.0.0-test",
  environment: process.env,
  clock: systemClock,
  log: createLogger({ level: "debug", name: "supervisor" }),
  signal: stop.signal,
  startControlPlane,
});
process.exit(exitCode);
