import { describeDriver } from "./driver.ts";
import { fixture } from "./process-fixture.ts";

describeDriver("process", fixture, new URL("process-fixture.ts", import.meta.url).href);
