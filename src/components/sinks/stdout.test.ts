import { describe, expect, it } from "vitest";
import { anEvent, runSink } from "../component-harness.fake.ts";
import { createStdout, type Output } from "./stdout.ts";

class Recorder implements Output {
  text = "";
  writes = 0;
  write(bytes: Uint8Array, done: (error?: Error | null) => void): boolean {
    this.text += Buffer.from(bytes).toString();
    this.writes += 1;
    setImmediate(done);
    return true;
  }
}

const timestamp = new Date("2018-02-07T01:26:13.840Z");
const events = [
  anEvent({ id: "a", type: "quake", json: { mag: 4.5 }, timestamp, metadata: { region: "eu" } }),
  anEvent({ id: "b", type: "line", payload: "Zoë", contentType: "text/plain" }),
  anEvent({ id: "c", type: "blob", payload: new Uint8Array([0xff, 0x00]), contentType: "image/x-test" }),
];

async function printed(format: string | undefined, batch = events): Promise<Recorder> {
  const output = new Recorder();
  await runSink(createStdout(output), { config: format === undefined ? {} : { format } }, [batch]);
  return output;
}

describe("stdout", () => {
  it("prints payloads, one a line, in one write a batch", async () => {
    const output = await printed(undefined, events.slice(0, 2));
    expect(output.text).toBe('{"mag":4.5}\nZoë\n');
    expect(output.writes).toBe(1);
  });

  it("prints whole events as JSON", async () => {
    const lines = (await printed("json")).text.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        id: "a",
        type: "quake",
        timestamp: "2018-02-07T01:26:13.840Z",
        source: "feed",
        metadata: { region: "eu" },
        payload: { mag: 4.5 },
      },
      { id: "b", type: "line", source: "feed", content_type: "text/plain", payload: "Zoë" },
      { id: "c", type: "blob", source: "feed", content_type: "image/x-test", payload_base64: "/wA=" },
    ]);
  });

  it("prints for people", async () => {
    expect((await printed("pretty")).text).toBe(
      '2018-02-07T01:26:13.840Z  quake  {"mag":4.5}\n-  line  Zoë\n-  blob  /wA=\n',
    );
  });

  it("puts JSON that spans lines on one, and refuses other content that does", async () => {
    const json = anEvent({ payload: '{\n "a": 1\n}', contentType: "application/json" });
    expect((await printed("payload", [json])).text).toBe('{"a":1}\n');
    const text = anEvent({ payload: "a\nb", contentType: "text/plain" });
    await expect(printed("payload", [text])).rejects.toMatchObject({ code: "components/payload-spans-lines" });
  });

  it("rejects a batch that could not be printed", async () => {
    const broken: Output = {
      write(_bytes, done) {
        setImmediate(done, new Error("EPIPE"));
        return false;
      },
    };
    await expect(runSink(createStdout(broken), { config: {} }, [events.slice(0, 1)])).rejects.toThrow("EPIPE");
  });
});
