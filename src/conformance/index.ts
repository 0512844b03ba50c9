/**
 * The conformance suite for components: the engine behind `flowctl component test -- <command>`. It speaks the
 * protocol with nothing but proto-loader and grpc-js, apart from flowctl's own data plane, so that it is a second
 * opinion on both the component and the protocol.
 */
export { launchCommand, launchImage } from "./launch.ts";
export { renderReport } from "./render-report.ts";
export type { ConformanceReport } from "./report.ts";
export { parseSampleEvents } from "./sample-events.ts";
export type { Facts } from "./subject.ts";
export { exploreComponent, listChecks, type TestComponentOptions, testComponent } from "./test-component.ts";
