import { backoffDelay } from "../../foundation/backoff.ts";

/** What the supervisor remembers of one instance. Times are Unix milliseconds. */
export type Watched =
  /** It runs, or is being started by somebody else. `crashes` in a row so far. */
  | { readonly phase: "running"; readonly since: number; readonly crashes: number; readonly healthySince?: number }
  /** It is to be started, restarted or stopped at `until`. */
  | {
      readonly phase: "waiting";
      /** When it ended, or was found to be ill. */
      readonly since: number;
      readonly until: number;
      readonly crashes: number;
      readonly action: Action;
      readonly cause: string;
    }
  /** The driver was asked for it and has not answered. What it saw of the new run meanwhile waits. */
  | {
      readonly phase: "acting";
      readonly action: Action;
      readonly crashes: number;
      readonly asked: number;
      readonly startedAt?: number;
      readonly exit?: Exit;
    }
  /** It ended and that was meant: it was told to, a command renews it, or it had completed. */
  | { readonly phase: "ended"; readonly since: number }
  /** It is being stopped for good, then it is given up. */
  | { readonly phase: "giving-up"; readonly reason: string }
  | { readonly phase: "failed"; readonly since: number };

export type Action = "start" | "restart" | "stop";

export interface Exit {
  readonly type: "exited";
  readonly at: number;
  readonly how: string;
  /** It was to go on: neither completed nor told to stop. */
  readonly unexpected: boolean;
  /** The driver starts it again by itself. */
  readonly willRestart: boolean;
}

/** What happened to an instance. */
export type Happening =
  | { readonly type: "started"; readonly at: number }
  | Exit
  /** What the registry thinks of it now. To be told about once a second. */
  | {
      readonly type: "state";
      readonly state: "healthy" | "ill" | "other";
      /** Neither heartbeats nor answers: no use in waiting. */
      readonly hung: boolean;
      /** Since when it is in that state. */
      readonly since: number;
      readonly reason: string;
    }
  /** It does not run and is to: nobody started it, or something above what had completed runs again. */
  | { readonly type: "needed"; readonly cause: string }
  /** It is to be stopped. `now`: nobody else sees to it, and nothing above it still runs. */
  | { readonly type: "unwanted"; readonly now: boolean }
  /** The driver has done, or could not do, what was decided. `away`: nobody could be asked, which says nothing of the instance. */
  | { readonly type: "acted"; readonly error?: string; readonly away?: boolean };

/** What is to be done about it. */
export type Decision =
  | { readonly type: "apply"; readonly action: Action; readonly cause: string }
  /** What was decided and is not done yet is not to be done: its reason has passed. */
  | { readonly type: "withdraw" }
  /** Stop it, then give it up. */
  | { readonly type: "give-up"; readonly reason: string };

export interface PolicyLimits {
  /** Crashes in a row that are followed by a restart; 0 for none. */
  readonly maxRestarts: number;
  /** So long an instance may be ill, without being hung, before it is restarted. */
  readonly illForMs: number;
  /** Source of randomness in [0, 1). */
  readonly random: () => number;
}

export interface Decided {
  readonly next: Watched;
  readonly decision?: Decision;
}

/** Health of this length ends a row of crashes. */
const goodForMs = 10_000;
const backoff = { initialMs: 250, maxMs: 30_000 };
/** So long nobody is asked again who was away. */
const AWAY_MS = 5_000;

/** The same after the clock was set by so much: everything lies as far back, or ahead, as it did. */
export function moved(watched: Watched, ms: number): Watched {
  switch (watched.phase) {
    case "running": {
      const { healthySince } = watched;
      const healthy = healthySince === undefined ? {} : { healthySince: healthySince + ms };
      return { ...watched, since: watched.since + ms, ...healthy };
    }
    case "waiting":
      return { ...watched, since: watched.since + ms, until: watched.until + ms };
    case "acting": {
      const { startedAt, exit } = watched;
      const started = startedAt === undefined ? {} : { startedAt: startedAt + ms };
      const ended = exit === undefined ? {} : { exit: { ...exit, at: exit.at + ms } };
      return { ...watched, asked: watched.asked + ms, ...started, ...ended };
    }
    case "giving-up":
      return watched;
    case "ended":
    case "failed":
      return { ...watched, since: watched.since + ms };
  }
}

/** The first that is heard of an instance. */
export function watch(now: number): Watched {
  return { phase: "running", since: now, crashes: 0 };
}

/**
 * What to do about one thing that happened to one instance. Pure. A crash is an exit that was not expected, an illness
 * that does not pass, or a start that failed; each is followed by a restart, later each time, until there were more of
 * them in a row than allowed.
 */
export function decide(watched: Watched, happening: Happening, limits: PolicyLimits, now: number): Decided {
  switch (happening.type) {
    case "started":
      return started(watched, happening.at);
    case "exited":
      return exited(watched, happening, limits, now);
    case "state":
      return judged(watched, happening, limits, now);
    case "needed":
      return needed(watched, happening.cause, now);
    case "unwanted":
      return unwanted(watched, happening.now, now);
    case "acted":
      return acted(watched, happening, limits, now);
  }
}

function started(watched: Watched, at: number): Decided {
  switch (watched.phase) {
    case "running":
      return { next: { phase: "running", since: at, crashes: watched.crashes } };
    case "waiting":
      return { next: { phase: "running", since: at, crashes: watched.crashes } };
    case "ended":
    case "failed":
      // Somebody starts it anew; what came late of an earlier start is not that.
      return { next: at >= watched.since ? { phase: "running", since: at, crashes: 0 } : watched };
    case "acting": {
      const { exit: _, ...rest } = watched;
      return { next: { ...rest, startedAt: at } };
    }
    case "giving-up":
      return { next: watched };
  }
}

function exited(watched: Watched, exit: Exit, limits: PolicyLimits, now: number): Decided {
  if (watched.phase === "acting") {
    // A restart first ends the run before, which is no crash of the new one.
    const ofNewRun = watched.action !== "restart" || watched.startedAt !== undefined;
    return { next: ofNewRun ? { ...watched, exit } : watched };
  }
  if (watched.phase !== "running") return { next: watched };
  if (exit.at < watched.since) return { next: watched };
  if (!exit.unexpected) return { next: { phase: "ended", since: exit.at } };
  const good = watched.healthySince !== undefined && now - watched.healthySince >= goodForMs;
  const crashes = good ? 1 : watched.crashes + 1;
  if (crashes > limits.maxRestarts) return giveUp(exit.how, crashes);
  if (exit.willRestart) return { next: { phase: "running", since: exit.at, crashes } };
  return { next: { ...wait(crashes, "start", exit.how, limits, now), since: exit.at } };
}

function judged(
  watched: Watched,
  { state, hung, since, reason }: Extract<Happening, { type: "state" }>,
  limits: PolicyLimits,
  now: number,
): Decided {
  if (watched.phase === "waiting" && watched.action === "stop") {
    return { next: { phase: "running", since: now, crashes: 0 } };
  }
  // Whatever was the matter has passed, or somebody else has seen to it.
  if (watched.phase === "waiting" && state === "healthy" && since >= watched.since) {
    return { next: { phase: "running", since, crashes: watched.crashes, healthySince: since } };
  }
  if (watched.phase === "waiting" && now >= watched.until) {
    const { action, cause, crashes } = watched;
    return { next: { phase: "acting", action, crashes, asked: now }, decision: { type: "apply", action, cause } };
  }
  // The driver hangs, and the run that was to be ended has got well.
  const isUntouched = watched.phase === "acting" && watched.action === "restart" && watched.startedAt === undefined;
  if (isUntouched && state === "healthy" && since >= watched.asked) {
    const next: Watched = { phase: "running", since, crashes: watched.crashes, healthySince: since };
    return { next, decision: { type: "withdraw" } };
  }
  if (watched.phase !== "running") return { next: watched };
  const { healthySince, ...rest } = watched;
  if (state === "healthy") return { next: { ...rest, healthySince: healthySince ?? Math.max(since, watched.since) } };
  // Whoever fails says so before it exits: the health that went before still ends the row.
  const before = healthySince !== undefined && now - healthySince >= goodForMs ? 0 : watched.crashes;
  if (state !== "ill") return { next: { ...rest, crashes: before } };
  // An illness from before this run gives the run its time to show itself.
  const patience = hung && since >= watched.since ? 0 : limits.illForMs;
  if (now - Math.max(since, watched.since) < patience) return { next: { ...rest, crashes: before } };
  const crashes = before + 1;
  const cause = hung ? `not responding: ${reason}` : reason;
  if (crashes > limits.maxRestarts) return giveUp(cause, crashes);
  return { next: wait(crashes, "restart", cause, limits, now) };
}

function needed(watched: Watched, cause: string, now: number): Decided {
  // Only when it is known to have ended: a program that is still on its way out is not started twice.
  if (watched.phase !== "ended" && watched.phase !== "failed") return { next: watched };
  const next: Watched = { phase: "acting", action: "start", crashes: 0, asked: now };
  return { next, decision: { type: "apply", action: "start", cause } };
}

/** Never starts it, and stops it however often the driver fails at that. */
function unwanted(watched: Watched, at: boolean, now: number): Decided {
  const stop = (crashes: number): Decided => ({
    next: { phase: "acting", action: "stop", crashes, asked: now },
    decision: { type: "apply", action: "stop", cause: "desired state is stopped" },
  });
  switch (watched.phase) {
    case "running":
      return at ? stop(0) : { next: watched };
    case "waiting":
      if (watched.action === "start") return { next: { phase: "ended", since: watched.since } };
      if (watched.action === "restart") return { next: { phase: "running", since: now, crashes: 0 } };
      return at && now >= watched.until ? stop(watched.crashes) : { next: watched };
    default:
      return { next: watched };
  }
}

function acted(
  watched: Watched,
  { error, away = false }: Extract<Happening, { type: "acted" }>,
  limits: PolicyLimits,
  now: number,
): Decided {
  if (watched.phase === "giving-up") return { next: { phase: "failed", since: now } };
  if (watched.phase !== "acting") return { next: watched };
  if (watched.action === "stop") {
    if (error === undefined) return { next: { phase: "ended", since: watched.exit?.at ?? now } };
    return { next: wait(watched.crashes + 1, "stop", error, limits, now) };
  }
  if (error === undefined) {
    const since = watched.startedAt ?? (watched.action === "start" ? watched.asked : now);
    const running: Watched = { phase: "running", since, crashes: watched.crashes };
    return watched.exit === undefined ? { next: running } : exited(running, watched.exit, limits, now);
  }
  if (away) {
    const { action, crashes } = watched;
    return { next: { phase: "waiting", since: now, until: now + AWAY_MS, crashes, action, cause: error } };
  }
  const crashes = watched.crashes + 1;
  if (crashes > limits.maxRestarts) return giveUp(error, crashes);
  return { next: wait(crashes, "start", error, limits, now) };
}

function wait(
  crashes: number,
  action: Action,
  cause: string,
  limits: PolicyLimits,
  now: number,
): Extract<Watched, { phase: "waiting" }> {
  const until = now + backoffDelay(crashes, { ...backoff, random: limits.random });
  return { phase: "waiting", since: now, until, crashes, action, cause };
}

function giveUp(how: string, crashes: number): Decided {
  const reason = crashes === 1 ? how : `${how}; gave up after ${crashes} failures in a row`;
  return { next: { phase: "giving-up", reason }, decision: { type: "give-up", reason } };
}
