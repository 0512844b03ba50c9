import { expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { CliHarness } from "./cli-harness.fake.ts";

const file = (configs: string): string => `name: demo
sources: { numbers: { uses: generator, with: { count: 1 } } }
sinks: { out: { uses: discard, inputs: [numbers], configs: [rules] } }
configs:
  rules: ${configs}
`;

it.each([
  ["a file", "{ file: ./rules.txt }", "from the file\n"],
  ["the environment", "{ environment: RULES }", "from the environment"],
  ["the pipeline file", '{ content: "from here, ${RULES}" }', "from here, from the environment"],
])("a config out of %s is given to the driver by `up`", async (_, config, expected) => {
  const values: (string | undefined)[] = [];
  const driver = new MemoryDriver({
    onApply: (_change, { deployment }) => {
      const value = deployment?.configValues.get("rules");
      values.push(value === undefined ? undefined : Buffer.from(value).toString());
    },
  });
  const files = {
    "flowctl.yaml": file(config),
    "rules.txt": "from the file\n",
    ".env": "RULES='from the environment'\n",
  };
  await using cli = await CliHarness.create(files, [driver]);
  expect((await cli.run("up", "-d")).code).toBe(0);
  expect(new Set(values)).toEqual(new Set([expected]));
});

it.each([
  ["a file that is missing", "{ file: ./no-rules.txt }", /no-rules\.txt/],
  ["a variable that is not set", "{ environment: NO_RULES }", /NO_RULES, which is not set/],
])("a config without value is an error before anything is changed: %s", async (_, config, expected) => {
  const driver = new MemoryDriver();
  await using cli = await CliHarness.create({ "flowctl.yaml": file(config) }, [driver]);
  const { code, stderr } = await cli.run("up", "-d");
  expect(code).not.toBe(0);
  expect(stderr).toMatch(expected);
  expect(stderr).toMatch(/flowctl\.yaml:5:\d+/);
  expect(driver.applied).toEqual([]);
});
