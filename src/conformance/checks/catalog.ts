import { bufferingChecks } from "./buffering.ts";
import type { Check } from "./check.ts";
import { configuringChecks } from "./configuring.ts";
import { drainingChecks } from "./draining.ts";
import { endingChecks } from "./ending.ts";
import { failingChecks } from "./failing.ts";
import { finishingChecks } from "./finishing.ts";
import { healthChecks } from "./health.ts";
import { joiningChecks } from "./joining.ts";
import { leavingChecks } from "./leaving.ts";
import { markingChecks } from "./marking.ts";
import { nackingChecks } from "./nacking.ts";
import { provingChecks } from "./proving.ts";
import { publishingChecks } from "./publishing.ts";
import { refusingChecks } from "./refusing.ts";
import { registeringChecks } from "./registering.ts";
import { renewingChecks } from "./renewing.ts";
import { reportingChecks } from "./reporting.ts";
import { sharingChecks } from "./sharing.ts";
import { sourcingChecks } from "./sourcing.ts";
import { stoppingChecks } from "./stopping.ts";
import { subscribingChecks } from "./subscribing.ts";
import { watchingChecks } from "./watching.ts";

/** Every obligation of the component contract, in the order in which it is reported. */
export const catalog: readonly Check[] = [
  ...registeringChecks,
  ...joiningChecks,
  ...provingChecks,
  ...renewingChecks,
  ...healthChecks,
  ...reportingChecks,
  ...watchingChecks,
  ...subscribingChecks,
  ...publishingChecks,
  ...sharingChecks,
  ...nackingChecks,
  ...bufferingChecks,
  ...drainingChecks,
  ...markingChecks,
  ...failingChecks,
  ...refusingChecks,
  ...sourcingChecks,
  ...endingChecks,
  ...finishingChecks,
  ...leavingChecks,
  ...stoppingChecks,
  ...configuringChecks,
];
