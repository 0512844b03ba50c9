import { status } from "@grpc/grpc-js";
import { type Bench, describeExit } from "../bench.ts";
import { Broken } from "../waiting.ts";
import { type Check, everyType } from "./check.ts";

/** How a component becomes an instance of its pipeline. */
export const joiningChecks: readonly Check[] = [
  {
    id: "identity/joins-first",
    title: "joins before it does anything else, and uses the certificate that it joins with for nothing else",
    fix: "Where FLOWCTL_TLS_CERT is set, call Join with that certificate before anything else, and everything else with the working certificate of its answer.",
    types: everyType,
    identity: true,
    scene: "registered",
    run: async (bench) => void (await bench.launch()),
  },
  {
    id: "identity/keeps-next",
    title:
      "puts what its next start joins with into its file, for its owner alone, before it uses the working certificate",
    fix: "Replace the file of FLOWCTL_TLS_CERT and FLOWCTL_TLS_KEY by the joining certificate and key of the answer to Join, as a whole and with mode 0600, before you connect with the working certificate.",
    types: everyType,
    identity: true,
    scene: "registered",
    needs: ["identity/joins-first"],
    run: async (bench) => void (await bench.launch()),
  },
  {
    id: "identity/lost-answer",
    title: "joins again with the same certificate when the answer was lost",
    fix: "After UNAVAILABLE, NOT_FOUND, DEADLINE_EXCEEDED and INTERNAL of Join, call it again after a growing pause, with the same certificate: it is good until something of an answer was used.",
    types: everyType,
    identity: true,
    scene: "joining",
    needs: ["identity/joins-first"],
    async run(bench) {
      const identity = await required(bench);
      identity.loseAnswers = 1;
      await bench.launchOnly();
      await bench.until(
        () => bench.controlPlane.registrations.length > 0,
        () =>
          identity.joined === 0
            ? "it has not called Join"
            : identity.joined === 1
              ? "it has not called Join again after its answer was lost"
              : "it has joined again after an answer was lost, and has not registered",
        { timeoutMs: bench.timing.startMs + bench.timing.stepMs },
      );
    },
  },
  {
    id: "identity/joins-again",
    title: "joins after a kill by what its last start has put into its file",
    fix: "At each start read the joining certificate from FLOWCTL_TLS_CERT and FLOWCTL_TLS_KEY as the files are then, and keep it nowhere else.",
    types: everyType,
    identity: true,
    scene: "joining",
    needs: ["identity/keeps-next"],
    async run(bench) {
      await bench.launch();
      const before = bench.requiredIdentity.joinedWith;
      await bench.component?.kill();
      await bench.launch({ keepFiles: true });
      if (bench.requiredIdentity.joinedWith === before)
        throw new Broken("it joined with the certificate of its last start, and not with the one in its file");
    },
  },
  {
    id: "identity/superseded",
    title: "ends with an error, and the reason as its last line, when its certificate is void",
    fix: "After UNAUTHENTICATED of any call with another code than identity/expired, write the message as the last line to stderr and exit with another code than 0.",
    types: everyType,
    identity: true,
    scene: "joining",
    needs: ["identity/joins-first"],
    async run(bench) {
      await bench.launch();
      bench.requiredIdentity.supersede();
      await endsWith(bench, "is void", "after its calls were answered with identity/superseded", bench.timing.stepMs);
    },
  },
  {
    id: "identity/refused",
    title: "ends with an error, and the reason as its last line, when Join is refused",
    fix: "After UNAUTHENTICATED and PERMISSION_DENIED of Join, write the message as the last line to stderr and exit with another code than 0.",
    types: everyType,
    identity: true,
    needs: ["identity/joins-first"],
    async run(bench) {
      const identity = await required(bench);
      const message = "conformance: somebody else has used it";
      const refusal = { status: status.UNAUTHENTICATED, code: "identity/used", message };
      const refusals = Array.from({ length: 1_000 }, () => refusal);
      identity.joinRefusals.push(...refusals);
      await bench.launchOnly();
      const { startMs, stepMs } = bench.timing;
      await bench.until(() => identity.joinRefusals.length < refusals.length, "it has not called Join", {
        timeoutMs: startMs,
      });
      await endsWith(bench, message, "after its Join was refused with identity/used", stepMs);
    },
  },
];

async function required(bench: Bench): Promise<NonNullable<Bench["identity"]>> {
  await bench.makeIdentity();
  return bench.requiredIdentity;
}

/** Waits until it has ended with an error, whose message is its last line. */
async function endsWith(bench: Bench, message: string, when: string, timeoutMs: number): Promise<void> {
  const exit = await bench.exited(timeoutMs, when);
  if (exit.code === 0 || exit.code === null) throw new Broken(`it exited with ${describeExit(exit)} ${when}`);
  const lines = bench.component?.errorOutput() ?? [];
  const last = lines.findLast((line) => line.trim() !== "") ?? "";
  if (!last.includes(message))
    throw new Broken(`its last line on stderr is "${last.trim().slice(0, 120)}", without "${message}"`);
}
