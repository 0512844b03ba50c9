import { FlowctlError } from "../foundation/errors.ts";
import { describeName, type InstanceName } from "./names.ts";
import { type Link, MAX_STEP } from "./serial.ts";

/** What is remembered of how an instance has joined. It has to survive whoever answers `Join`. */
export interface JoinState {
  readonly chain: string;
  /** The number of the newest answer. */
  readonly step: number;
  /** The step of the joining certificate that was answered so. */
  readonly joinedWith: number;
  /** Something of the answer was used: it has arrived, and the certificate that it was the answer to is spent. */
  readonly isConfirmed: boolean;
}

/**
 * What follows from an instance's showing a joining certificate: the state after the answer, whose step the answer has. A joining certificate is
 * good for one answer. While nothing of the answer was used it may have been lost: then there is another, and the one before is void.
 *
 * @param started The chain that the driver began last for this instance; undefined when it began none.
 * @param state Undefined when nothing is known of the instance: what it shows first is then believed, if it is of that chain.
 * @throws `identity/superseded` and `identity/used`, of kind unauthenticated
 */
export function join(name: InstanceName, shown: Link, started: string | undefined, state?: JoinState): JoinState {
  if (shown.chain !== started) throw superseded(name);
  if (state === undefined || state.chain !== started) return answer(name, shown, shown.step);
  const isNext = shown.step === state.step;
  const isLost = shown.step === state.joinedWith && !state.isConfirmed;
  if (!isNext && !isLost) throw used(name);
  return answer(name, shown, state.step);
}

function answer(name: InstanceName, shown: Link, last: number): JoinState {
  if (last >= MAX_STEP) throw used(name);
  return { chain: shown.chain, step: last + 1, joinedWith: shown.step, isConfirmed: false };
}

/**
 * What follows from an instance's showing a working certificate: the state afterwards, which is the same one when nothing does.
 *
 * @param started As for `join`; only looked at when nothing is known of the instance: what it shows first is then believed, if it is of that
 *   chain.
 * @throws `identity/superseded` when a later start of the instance has joined or was begun, or another answer has taken the place of this one
 */
export function use(name: InstanceName, shown: Link, started: string | undefined, state?: JoinState): JoinState {
  if (state === undefined) {
    if (shown.chain !== started) throw superseded(name);
    return { ...shown, joinedWith: shown.step - 1, isConfirmed: true };
  }
  if (shown.chain !== state.chain || shown.step !== state.step) throw superseded(name);
  return state.isConfirmed ? state : { ...state, isConfirmed: true };
}

function used(name: InstanceName): FlowctlError {
  return new FlowctlError({
    code: "identity/used",
    kind: "unauthenticated",
    message: `the joining certificate of ${describeName(name)} was already used`,
    fix: "If the instance did not use it itself, somebody else did: find out who can read its files. Then run `flowctl restart` for it, which gives it another one.",
  });
}

function superseded(name: InstanceName): FlowctlError {
  return new FlowctlError({
    code: "identity/superseded",
    kind: "unauthenticated",
    message: `the certificate of ${describeName(name)} is void: the instance has been started or has joined again since`,
    fix: "If two programs run as this instance, stop the one that flowctl did not start.",
  });
}
