import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { FlowctlError } from "../../foundation/errors.ts";
import type { PipelineEvent } from "../../protocol/records.ts";
import { CliHarness } from "../cli-harness.fake.ts";
import { createOutput } from "../display/output.ts";
import { eventPrinter } from "./events.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

function printed(isTTY: boolean, events: readonly PipelineEvent[]): readonly string[] {
  const lines: string[] = [];
  const stdout = Object.assign(
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString().trimEnd());
        done();
      },
    }),
    { isTTY, columns: 80 },
  );
  const env = { NO_COLOR: "1" };
  const print = eventPrinter(createOutput({ stdout, stderr: stdout, env, json: false, quiet: false }));
  for (const event of events) print(event);
  return lines;
}

function event(time: string, given: Partial<PipelineEvent>): PipelineEvent {
  const nothing = { componentId: "", instanceId: "", message: "", from: "", to: "", attributes: {} };
  return { sequence: 1, time: Date.parse(time), type: "component.state", ...nothing, ...given };
}

const events = [
  event("2026-11-26T23:59:59.123Z", { type: "instance.started", instanceId: "a-1", message: "started" }),
  event("2026-11-27T00:00:01.004Z", { instanceId: "a-1", from: "starting", to: "healthy" }),
  event("2026-11-27T00:00:02.000Z", {
    type: "instance.registered",
    instanceId: "a-1",
    message: "registered at a-1:50051",
  }),
];

it("a line says when, what, of whom, and what more there is to say", () => {
  expect(printed(false, events)).toEqual([
    "2026-11-26T23:59:59.123Z  instance.started  a-1",
    "2026-11-27T00:00:01.004Z  component.state  a-1  starting → healthy",
    "2026-11-27T00:00:02.000Z  instance.registered  a-1  registered at a-1:50051",
  ]);
});

it("on a terminal each day stands once above its events", () => {
  expect(printed(true, events)).toEqual([
    "2026-11-26 UTC",
    "23:59:59.123  instance.started  a-1",
    "2026-11-27 UTC",
    "00:00:01.004  component.state  a-1  starting → healthy",
    "00:00:02.000  instance.registered  a-1  registered at a-1:50051",
  ]);
});

describe("following, where the certificate of the owner is replaced", () => {
  const refused = new FlowctlError({ code: "identity/revoked", kind: "unauthenticated", message: "refused" });

  /** Follows on a control plane that ends each connection with what comes next, after an event. */
  async function follow(...ends: readonly (Error | undefined)[]): Promise<readonly [string, readonly number[]]> {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    expect(await cli.run("up", "-d", "--quiet")).toMatchObject({ code: 0 });
    const asked: number[] = [];
    const client = cli.controlPlane.client();
    cli.controlPlane.client = () => ({
      ...client,
      async *watchEvents({ after }) {
        const end = ends[asked.length];
        asked.push(after);
        // Somebody without access is told nothing.
        if (asked.length === 1 || end === undefined) yield event("2026-11-26T23:59:59Z", { sequence: asked.length });
        if (end !== undefined) throw end;
        for (const driver of cli.drivers) driver.state.clear();
      },
    });
    const { code, stderr } = await cli.run("events", "-f");
    return [`${code} ${stderr}`, asked];
  }

  it("goes on with the present one from where it was", async () => {
    expect(await follow(refused, undefined)).toEqual(["0 ", [0, 1]]);
  });

  it("ends where that is refused, too", async () => {
    const [ended, asked] = await follow(refused, refused, undefined);
    expect(ended).toContain("identity/revoked");
    expect(asked).toEqual([0, 1]);
  });
});
