import { Agent, get, type IncomingMessage } from "node:http";
import { messageOf } from "../foundation/errors.ts";

export type ProbeResult =
  | { readonly result: "passing" }
  /** It answered, and not with 2xx. */
  | { readonly result: "refusing"; readonly detail: string }
  /** It did not answer. */
  | { readonly result: "failing"; readonly detail: string };

/** Asks `/health` of `endpoint` (`host:port`). Never rejects; what takes longer than the probe's timeout fails. */
export type HealthProbe = (endpoint: string, signal: AbortSignal) => Promise<ProbeResult>;

/** Of an answer's body, so much is shown. */
const bodyShown = 200;

/** A probe over kept-alive connections. `close` ends them. */
export function createHttpHealthProbe(timeoutMs: number): { readonly probe: HealthProbe; close(): void } {
  // Sockets that idle between two polls must not hold the process, nor pile up for instances that are gone.
  const agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1, timeout: 60_000 });
  return {
    probe: async (endpoint, signal) => {
      // One controller a poll: linked signals of a signal that lives as long as the instance would pile up.
      const limit = new AbortController();
      const end = (): void => limit.abort();
      const timer = setTimeout(end, timeoutMs);
      signal.addEventListener("abort", end, { once: true });
      try {
        return await ask(agent, endpoint, limit.signal);
      } catch (error) {
        const detail = limit.signal.aborted ? `timed out after ${timeoutMs} ms` : messageOf(error);
        return { result: "failing", detail: `/health at ${endpoint}: ${detail}` };
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
      }
    },
    close: () => agent.destroy(),
  };
}

function ask(agent: Agent, endpoint: string, signal: AbortSignal, retried = false): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const request = get(`http://${endpoint}/health`, { agent, signal }, (response) => {
      read(response).then((body) => resolve(judge(endpoint, response.statusCode ?? 0, body)), reject);
    });
    request.on("error", (error) => {
      // The peer may close a kept connection just when it is used again: that says nothing about its health.
      if (request.reusedSocket && !retried && !signal.aborted) ask(agent, endpoint, signal, true).then(resolve, reject);
      else reject(error);
    });
  });
}

async function read(response: IncomingMessage): Promise<string> {
  let body = "";
  response.setEncoding("utf8");
  for await (const chunk of response) if (body.length < bodyShown) body += String(chunk);
  return body.slice(0, bodyShown).trim();
}

function judge(endpoint: string, status: number, body: string): ProbeResult {
  if (status >= 200 && status < 300) return { result: "passing" };
  return { result: "refusing", detail: `/health at ${endpoint} returned ${status}${body === "" ? "" : `: ${body}`}` };
}
