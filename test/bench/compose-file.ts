import { runWell } from "../e2e/run-program.ts";

interface InspectedContainer {
  readonly Name: string;
  readonly Config: {
    readonly Image: string;
    readonly Entrypoint: readonly string[] | null;
    readonly Cmd: readonly string[] | null;
    readonly Env: readonly string[];
    readonly User: string;
  };
  readonly HostConfig: { readonly Init: boolean | null; readonly CapDrop: readonly string[] | null };
}

/**
 * The containers of a running pipeline as a Compose file (JSON, which is YAML): same images, programs, environment,
 * users and limits on capabilities, on one network, without flowctl.
 */
export async function composeFileOf(pipeline: string): Promise<string> {
  const listed = await runWell("docker", ["ps", "-aq", "--filter", `label=dev.flowctl.pipeline=${pipeline}`]);
  const ids = listed.stdout.split("\n").filter((id) => id !== "");
  const { stdout } = await runWell("docker", ["inspect", ...ids]);
  const containers = JSON.parse(stdout) as readonly InspectedContainer[];
  const services = containers.map(({ Name, Config, HostConfig }) => {
    const dollars = (text: string) => text.replaceAll("$", "$$$$");
    return [
      Name.replace(/^\//, "").replaceAll(/[^a-zA-Z0-9_-]/g, "-"),
      {
        image: Config.Image,
        ...(Config.Entrypoint ? { entrypoint: Config.Entrypoint.map(dollars) } : {}),
        ...(Config.Cmd ? { command: Config.Cmd.map(dollars) } : {}),
        environment: Config.Env.map(dollars),
        user: Config.User,
        init: HostConfig.Init ?? false,
        cap_drop: HostConfig.CapDrop ?? [],
      },
    ];
  });
  return JSON.stringify({ services: Object.fromEntries(services) }, undefined, 2);
}
