import { fixture } from "./docker-fixture.ts";
import { describeDriver } from "./driver.ts";

describeDriver("docker", fixture, new URL("docker-fixture.ts", import.meta.url).href);
