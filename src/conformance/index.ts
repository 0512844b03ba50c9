/**
 * The conformance suite for components: the engine behind `flowctl component test -- <command>`. It speaks the
 * protocol with nothing but proto-loader and grpc-js, apart from flowctl's own data plane, so that it is a second
 * opinion on both the component and the protocol.
 */
export {
  type Launch,
  type LaunchCommandOptions,
  type LaunchedComponent,
  type LaunchImageOptions,
  launchCommand,
  launchImage,
  type ProgramExit,
} from "./launch.ts";
export { type Paint, plainPaint, renderCheck, renderReport, renderSummary } from "./render-report.ts";
export type { CheckOutcome, CheckResult, ConformanceReport } from "./report.ts";
export { parseSampleEvents, type SampleEvent } from "./sample-events.ts";
export type { Timing } from "./subject.ts";
export { type ConformanceProgress, listChecks, type TestComponentOptions, testComponent } from "./test-component.ts";
