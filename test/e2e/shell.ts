import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";

export interface Typed {
  readonly code: number;
  /** Both streams, in the order in which they were written. */
  readonly said: string;
}

/** A shell that stays: folder and variables of one command hold for the next, as for somebody who types them. */
export class Shell implements AsyncDisposable {
  readonly #bash: ChildProcessWithoutNullStreams;
  #said = "";

  constructor(cwd: string, env: NodeJS.ProcessEnv) {
    this.#bash = spawn("bash", ["--norc", "--noprofile"], { cwd, env, stdio: ["pipe", "pipe", "pipe"] });
    this.#bash.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#said += text;
      this.#bash.emit("said");
    });
    this.#bash.stderr.resume();
    this.#bash.once("close", () => this.#bash.emit("said"));
  }

  /** Runs commands to their end; the code is that of the last one that failed, or 0. Rejects with what it said when that takes longer, or the shell itself ends. */
  async type(command: string, timeoutMs = 120_000): Promise<Typed> {
    const mark = `end-of-command-${process.hrtime.bigint()}`;
    const end = new RegExp(`${mark} (\\d+)\n`);
    this.#said = "";
    this.#bash.stdin.write(
      `code=0; trap 'code=$?' ERR; { ${command.trimEnd()}\n} 2>&1 </dev/null; printf '${mark} %d\\n' $code\n`,
    );
    const late = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const match = end.exec(this.#said);
      if (match !== null) return { code: Number(match[1]), said: this.#said.slice(0, match.index) };
      if (this.#bash.exitCode !== null) throw new Error(`the shell ended with ${this.#bash.exitCode}: ${this.#said}`);
      await once(this.#bash, "said", { signal: late }).catch((cause: unknown) => {
        throw new Error(`\`${command.trim()}\` has not ended after ${timeoutMs} ms:\n${this.#said}`, { cause });
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#bash.exitCode !== null) return;
    const closed = once(this.#bash, "close");
    this.#bash.stdin.end();
    await closed;
  }
}
