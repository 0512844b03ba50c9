import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { atExit } from "../at-exit.ts";

interface Member {
  readonly id: string;
  readonly child: ChildProcess;
  /** The end of what it said on its standard error. */
  errors: string;
  ended: boolean;
  readonly closed: Promise<unknown>;
}

const KEPT_CHARACTERS = 4_000;

/** The programs of one run. When one of them fails the run fails, with what it said. */
export class Crew {
  private readonly members: Member[] = [];
  private dismissed = false;
  private fail: (error: Error) => void = () => undefined;
  private readonly failure: Promise<never>;
  private readonly forget: () => void;

  constructor() {
    this.failure = new Promise((_, reject) => {
      this.fail = reject;
    });
    // Whoever waits for something is told; nobody may be waiting just then.
    this.failure.catch(() => undefined);
    this.forget = atExit(() => this.kill());
  }

  /** @param onLine gets each line of its standard output. The program has to pipe that, and its standard error. */
  add(id: string, child: ChildProcess, onLine: (line: string) => void): void {
    const closed = once(child, "close").catch(() => undefined);
    const member: Member = { id, child, errors: "", ended: false, closed };
    this.members.push(member);
    createInterface({ input: child.stdout! }).on("line", onLine);
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      member.errors = (member.errors + text).slice(-KEPT_CHARACTERS);
    });
    child.once("error", (error) => this.fail(new Error(`${id} does not start: ${error.message}`)));
    child.once("close", (code, signal) => {
      member.ended = true;
      if (code === 0 || this.dismissed) return;
      this.fail(new Error(`${id} ended with ${signal ?? `code ${code}`}\n${member.errors}`));
    });
  }

  /** What `work` resolves with. Rejects when a program fails meanwhile, or when it takes too long. */
  async during<T>(work: Promise<T>, what: string, patienceMs: number): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.lateness(what, patienceMs)), patienceMs);
    });
    try {
      return await Promise.race([work, this.failure, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves when all have ended, but for one that nobody waits for. */
  async ended(except?: string): Promise<void> {
    await Promise.all(this.members.flatMap(({ id, closed }) => (id === except ? [] : [closed])));
  }

  signal(signal: NodeJS.Signals): void {
    for (const { child, ended } of this.members) if (!ended) child.kill(signal);
  }

  /** Ends all that is left, and waits for it. */
  async dismiss(): Promise<void> {
    this.kill();
    await this.ended();
    this.forget();
  }

  get isDismissed(): boolean {
    return this.dismissed;
  }

  private kill(): void {
    this.dismissed = true;
    this.signal("SIGKILL");
  }

  private lateness(what: string, patienceMs: number): Error {
    const running = this.members.filter(({ ended }) => !ended);
    const said = running.filter(({ errors }) => errors !== "").map(({ id, errors }) => `${id} said:\n${errors}`);
    return new Error(
      [
        `${what} took longer than ${patienceMs / 1000} s; running: ${running.map(({ id }) => id).join(", ")}`,
        ...said,
      ].join("\n"),
    );
  }
}
