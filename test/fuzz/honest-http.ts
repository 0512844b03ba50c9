import { Agent, get } from "node:http";

/** How long an answer may take, in milliseconds. */
const PATIENCE_MS = 15_000;

/** An honest client of an HTTP server, on one connection that it keeps for as long as the server does. */
export class Scraper {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #address: string;
  readonly #paths: readonly string[];
  readonly #headers: Readonly<Record<string, string>>;

  /**
   * @param paths All of which have to be answered with 200.
   * @param headers By which it says who it is.
   */
  constructor(address: string, paths: readonly string[], headers: Readonly<Record<string, string>> = {}) {
    this.#address = address;
    this.#paths = paths;
    this.#headers = headers;
  }

  async check(): Promise<void> {
    for (const path of this.#paths) {
      const status = await this.#statusOf(path);
      if (status !== 200) throw new Error(`an honest GET ${path} was answered with ${status}`);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #statusOf(path: string, again = true): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const options = { agent: this.#agent, headers: this.#headers, signal };
      const request = get(`http://${this.#address}${path}`, options, (response) => {
        response.resume();
        response.once("end", () => resolve(response.statusCode));
        response.once("error", reject);
      });
      // A server may close a connection that is not used at any moment.
      request.once("error", (error) => {
        if (request.reusedSocket && again) this.#statusOf(path, false).then(resolve, reject);
        else reject(error);
      });
    });
  }
}
