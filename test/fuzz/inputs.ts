import { Random } from "../chaos/harness/random.ts";
import type { Input } from "./port.ts";

/** The input of a number: it has nothing of its neighbours, so that it comes out alone as it does among others. */
export function inputOf(seed: number, number: number): Input {
  return {
    seed,
    number,
    random: new Random(Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(number + 1, 0xc2b2ae35)),
  };
}
