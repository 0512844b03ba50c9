import { FlowctlError, type Logger } from "../../../sdk/index.ts";

/** How many bad lines are logged one by one; after that only counted. */
const logged = 10;

/** What is done about lines that are not what they should be, by the setting `on_bad_line`. */
export class BadLines {
  readonly #path: string;
  readonly #action: "fail" | "skip";
  readonly #log: Logger;
  #count = 0;

  constructor(path: string, action: "fail" | "skip", log: Logger) {
    this.#path = path;
    this.#action = action;
    this.#log = log;
  }

  get count(): number {
    return this.#count;
  }

  /** Throws `components/bad-line` naming file and line, or logs it and returns. */
  report(line: number, reason: string): void {
    if (this.#action === "fail") {
      throw new FlowctlError({
        code: "components/bad-line",
        kind: "invalid",
        message: `${this.#path}:${line}: ${reason}`,
        fix: "fix the line, or set on_bad_line: skip",
        position: { file: this.#path, line, column: 1 },
      });
    }
    this.#count += 1;
    if (this.#count <= logged) this.#log.warn("skipped a bad line", { file: this.#path, line, reason });
    if (this.#count === logged) this.#log.warn("too many bad lines; further ones are only counted");
  }
}
