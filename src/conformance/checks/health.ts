import { setTimeout as delay } from "node:timers/promises";
import { withDeadline } from "../../foundation/deadline.ts";
import type { Bench } from "../bench.ts";
import { Broken } from "../waiting.ts";
import { type Check, everyType } from "./check.ts";

export const healthChecks: readonly Check[] = [
  {
    id: "health/live",
    title: "answers GET /health on FLOWCTL_HEALTH_PORT with 200",
    fix: "Serve HTTP on FLOWCTL_HEALTH_PORT and answer /health with 200 as long as the program works.",
    types: everyType,
    scene: "registered",
    run: async (bench) => void (await answersOk(bench, "/health")),
  },
  {
    id: "health/ready",
    title: "answers GET /ready with 200 once it is registered",
    fix: "Answer /ready with 503 before the registration and with 200 after it.",
    types: everyType,
    scene: "registered",
    needs: ["health/live"],
    run: async (bench) => void (await answersOk(bench, "/ready")),
  },
  {
    id: "health/not-ready",
    title: "answers GET /ready with 503 before it is registered",
    fix: "Answer /ready with 503 until RegisterComponent is answered.",
    types: everyType,
    needs: ["health/ready"],
    async run(bench) {
      const { controlPlane } = bench;
      controlPlane.withholdRegistrations = true;
      await bench.launch();
      const { status, text } = await firstAnswer(bench, "/ready");
      if (status !== 503)
        throw new Broken(`GET /ready gives ${status ?? text} instead of 503 before its registration is answered`);
      controlPlane.answerRegistrations();
      await answersOk(bench, "/ready");
    },
  },
  {
    id: "health/metrics",
    title: "answers GET /metrics with text for Prometheus",
    fix: "Answer /metrics with 200 and the component's counters in the Prometheus text format.",
    types: everyType,
    scene: "registered",
    needs: ["health/live"],
    async run(bench) {
      const text = await answersOk(bench, "/metrics");
      const wrong = text.split("\n").find((line) => !metricsLine.test(line));
      if (wrong !== undefined)
        throw new Broken(`/metrics has a line that is not Prometheus text: ${wrong.slice(0, 80)}`);
      if (!text.split("\n").some((line) => /^[a-zA-Z_:]/.test(line))) throw new Broken("/metrics has no metric");
    },
  },
];

const metricsLine =
  /^$|^#|^[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})?\s+(NaN|[+-]?Inf|[+-]?[0-9.]+([eE][+-]?[0-9]+)?)(\s+-?\d+)?\s*$/;

async function answersOk(bench: Bench, path: string): Promise<string> {
  await bench.launch();
  const answer = await firstAnswer(bench, path, ({ ok }) => ok);
  if (!answer.ok) throw new Broken(`GET ${path} gives ${answer.text}`);
  return answer.text;
}

/** Asks until there is an answer of the kind that is waited for, or there has been time enough for one. */
async function firstAnswer(
  bench: Bench,
  path: string,
  isEnough: (answer: Answer) => boolean = ({ status }) => status !== undefined,
): Promise<Answer> {
  const deadline = Date.now() + bench.timing.stepMs;
  for (;;) {
    const answer = await get(`http://127.0.0.1:${bench.healthPort}${path}`, bench.signal);
    if (isEnough(answer) || Date.now() > deadline) return answer;
    await delay(100, undefined, { signal: bench.signal });
  }
}

interface Answer {
  readonly ok: boolean;
  /** Of HTTP; undefined when nobody answered. */
  readonly status?: number;
  readonly text: string;
}

async function get(url: string, signal: AbortSignal): Promise<Answer> {
  try {
    const response = await fetch(url, { signal: withDeadline(signal, 2_000) });
    const text = await response.text();
    const { status } = response;
    return status === 200 ? { ok: true, status, text } : { ok: false, status, text: `status ${status}` };
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { ok: false, text: `no answer (${cause instanceof Error ? cause.message : String(cause)})` };
  }
}
