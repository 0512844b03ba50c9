import type { Port } from "./port.ts";
import { controlPort, identityPort } from "./ports/control.ts";
import { healthPort } from "./ports/health.ts";
import { httpPort } from "./ports/http.ts";
import { pipelinePort } from "./ports/pipeline.ts";
import { identityStreamsPort, streamsPort } from "./ports/streams.ts";
import { supervisorPort } from "./ports/supervisor.ts";

/** Every port that somebody else can reach. */
export const ports = {
  control: controlPort,
  identity: identityPort,
  streams: streamsPort,
  "identity-streams": identityStreamsPort,
  http: httpPort,
  health: healthPort,
  supervisor: supervisorPort,
  pipeline: pipelinePort,
} as const satisfies Readonly<Record<string, Port>>;

export type PortName = keyof typeof ports;
