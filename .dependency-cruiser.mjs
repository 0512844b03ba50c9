/**
 * The layering of the source, as a table: which folders (or single files) of src/ each folder may import.
 * `foundation` may be used by everyone and uses nobody; `main` uses everyone and nobody uses `main`.
 */
const layers = {
  foundation: [],
  identity: [],
  pipeline: [],
  planner: ["pipeline", "drivers/driver.ts"],
  executor: ["planner", "drivers/driver.ts"],
  drivers: ["pipeline", "protocol", "identity"],
  protocol: ["pipeline"],
  streams: ["protocol", "identity"],
  "control-plane": ["pipeline", "planner", "protocol", "streams", "identity", "drivers/driver.ts"],
  client: ["protocol", "identity", "pipeline/pipeline.ts"],
  sdk: ["streams", "protocol", "client", "identity", "pipeline/pipeline.ts"],
  "event-files": [],
  components: ["sdk", "event-files", "pipeline/catalog.ts", "pipeline/pipeline.ts"],
  conformance: ["protocol", "client", "identity", "pipeline/pipeline.ts"],
  dashboard: [],
  cli: [
    "pipeline",
    "planner",
    "executor",
    "client",
    "conformance",
    "event-files",
    "drivers/driver.ts",
    "protocol/records.ts",
  ],
};

/** Packages whose types and calls stay behind one adapter: package → the only folder of src/ that may import it. */
const adapters = {
  dockerode: "drivers/docker",
  "@kubernetes/client-node": "drivers/kubernetes",
  level: "control-plane/store",
  "prom-client": "(control-plane|sdk)",
  commander: "(cli|main)",
  chalk: "cli",
  ora: "cli",
};

/** Tests may reach across, and fakes of a layer serve the tests of others. */
const tests = "\\.(test|fake)\\.ts$|/fixtures/";
const literal = (path) => path.replaceAll(".", "\\.");
const within = (paths) =>
  `^src/(${paths.map((path) => (path.endsWith(".ts") ? `${literal(path)}$` : `${path}/`)).join("|")})`;

export default {
  forbidden: [
    ...Object.entries(layers).map(([layer, allowed]) => ({
      name: `${layer}-uses-only-its-layers`,
      comment: `src/${layer} may import ${["foundation", ...allowed].join(", ")} and nothing else of src/`,
      severity: "error",
      from: { path: `^src/${layer}/`, pathNot: tests },
      to: {
        path: "^src/",
        pathNot: within(layer === "foundation" ? ["foundation"] : [layer, "foundation", ...allowed]),
      },
    })),
    {
      name: "every-folder-has-a-layer",
      comment: "a new folder of src/ gets its line in the table of layers first",
      severity: "error",
      from: { path: "^src/", pathNot: within(["main", ...Object.keys(layers)]) },
      to: { path: "^src/" },
    },
    {
      name: "planner-is-pure",
      comment: "what decides reads no files, starts no programs, talks to nobody and waits for nothing",
      severity: "error",
      from: { path: "^src/planner/", pathNot: tests },
      to: { path: ["^(node:)?(fs|child_process|net|http|https|timers)(/|$)", "^src/foundation/clock\\.ts$"] },
    },
    {
      name: "sending-and-receiving-never-import-each-other",
      severity: "error",
      from: { path: "^src/streams/(sending|receiving)/", pathNot: tests },
      to: { path: "^src/streams/(sending|receiving)/", pathNot: "^src/streams/$1/" },
    },
    {
      name: "drivers-never-import-each-other",
      severity: "error",
      from: { path: "^src/drivers/([^/]+)/" },
      to: { path: "^src/drivers/[^/]+/", pathNot: "^src/drivers/$1/" },
    },
    {
      name: "what-drivers-share-knows-no-driver",
      severity: "error",
      from: { path: "^src/drivers/[^/]+\\.ts$", pathNot: tests },
      to: { path: "^src/drivers/[^/]+/" },
    },
    {
      name: "nobody-uses-main",
      severity: "error",
      from: { path: "^(src|test)/", pathNot: "^src/main/" },
      to: { path: "^src/main/" },
    },
    ...Object.entries(adapters).map(([vendor, folder]) => ({
      name: `${vendor.replaceAll(/[^a-z]+/g, "-")}-stops-at-its-adapter`,
      comment: `${vendor} is imported by src/${folder} alone`,
      severity: "error",
      from: { path: "^src/", pathNot: [`^src/${folder}/`, tests] },
      to: { path: `node_modules/${vendor}/` },
    })),
    {
      name: "programs-know-no-tests",
      severity: "error",
      from: { path: "^src/", pathNot: tests },
      to: { path: ["^test/", tests] },
    },
    {
      name: "no-cycles",
      comment: "files that need each other's values when they load; types are free",
      severity: "warn",
      from: { path: "^src/" },
      to: { circular: true, dependencyTypesNot: ["type-only"] },
    },
    { name: "imports-resolve", severity: "error", from: { path: "^src/" }, to: { couldNotResolve: true } },
  ],
  options: {
    // The TypeScript 7 compiler has no JavaScript API: swc reads the sources.
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    // Tests may reach across anyway, and use syntax (`await using`) that the reader does not know yet.
    exclude: { path: "\\.test\\.ts$" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
    },
  },
};
