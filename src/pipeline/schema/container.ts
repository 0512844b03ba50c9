import * as z from "zod";
import {
  anyText,
  assignments,
  block,
  byteSize,
  choice,
  duration,
  flag,
  form,
  mapping,
  oneOrMany,
  text,
  textList,
  wholeNumber,
} from "./scalars.ts";

const command = (what: string) =>
  z.union([anyText(), textList()], { error: `a string or a list of strings: ${what}` }).nullable();

const build = z
  .union(
    [
      text(),
      block(
        {
          context: text().optional().describe("Build context: a folder, relative to the pipeline file."),
          dockerfile: text()
            .optional()
            .describe("Path of the Dockerfile, relative to the context. Default: `Dockerfile`."),
          dockerfile_inline: text().optional().describe("Inline Dockerfile content."),
          args: assignments("build arguments").optional().describe("Build arguments."),
          target: text().optional().describe("Dockerfile stage to build."),
          labels: assignments("labels").optional().describe("Image labels."),
          cache_from: textList().optional().describe("Images to use as cache sources."),
          no_cache: flag().optional().describe("Do not use the build cache."),
          pull: flag().optional().describe("Always pull newer base images."),
          network: text().optional().describe("Network for `RUN` instructions."),
        },
        "a mapping",
      ),
    ],
    { error: "the folder to build from, or a mapping with `context`" },
  )
  .describe("How to build the image: a folder, or its settings.");

const dependsOn = z
  .union(
    [
      z.array(text("a component or service id")),
      mapping(
        block(
          {
            condition: choice(["service_started", "service_healthy", "service_completed_successfully"])
              .optional()
              .describe("State to wait for. Default: `service_started`."),
            required: flag().optional().describe("Fail if the dependency is not active. Default: true."),
            restart: flag()
              .optional()
              .describe("Restart this component when the dependency is replaced. Default: false."),
          },
          "a mapping",
        ),
        "conditions",
      ),
    ],
    { error: "a list of ids, or a mapping of ids to conditions" },
  )
  .describe("Components and services to wait for before starting.");

const cores = "a number of cores, such as `0.5`";
const restart = "one of `no`, `always`, `unless-stopped`, `on-failure`, `on-failure:3`";
const user = "a user, such as `1000:1000` or `node`";
/** A name or a number, and the same for a group after a colon. */
const userPattern = /^[A-Za-z0-9_][\w.-]*\$?(?::[A-Za-z0-9_][\w.-]*\$?)?$/;
const mostUsers = 2_147_483_647;
const permissions = "file permissions, such as `0440`";

const cpus = (what: string) =>
  z
    .union(
      [z.number({ error: cores }).positive({ error: cores }), form(/^(?=.*[1-9])(?:\d+(?:\.\d*)?|\.\d+)$/, cores)],
      {
        error: cores,
      },
    )
    .optional()
    .describe(`${what} CPU cores.`);
const memory = (what: string) => byteSize().optional().describe(`${what} memory, such as \`256M\`.`);

const limits = block(
  {
    cpus: cpus("Maximum"),
    memory: memory("Maximum"),
    pids: wholeNumber(1, "an integer ≥ 1")
      .optional()
      .describe("Maximum number of processes and threads. Default: 512 for components, no limit for services."),
  },
  "a mapping",
);

const reservations = block({ cpus: cpus("Reserved"), memory: memory("Reserved") }, "a mapping");

const deploy = block(
  {
    replicas: wholeNumber(1, "an integer from 1 to 1000", 1000).optional().describe("Number of instances. Default: 1."),
    resources: block(
      {
        limits: limits.optional().describe("Resource limits of each instance."),
        reservations: reservations.optional().describe("Resources reserved for each instance."),
      },
      "a mapping with `limits` and `reservations`",
    )
      .optional()
      .describe("Resource limits and reservations of each instance."),
  },
  "a mapping",
).describe("Number and resources of the instances.");

const healthcheck = block(
  {
    test: z
      .union([text(), z.array(anyText()).min(1, { error: "a non-empty list" })], {
        error: "a command line, or a list that starts with CMD, CMD-SHELL or NONE",
      })
      .optional()
      .describe("Command that checks the health: a shell command line, or `[CMD, …]`, `[CMD-SHELL, …]` or `[NONE]`."),
    interval: duration().optional().describe("Time between checks."),
    timeout: duration().optional().describe("Time after which a check counts as failed."),
    retries: wholeNumber(0, "an integer ≥ 0")
      .optional()
      .describe("Consecutive failures before the container is unhealthy."),
    start_period: duration()
      .optional()
      .describe(
        "Startup time during which failures do not count. For a component, also the time it has to register before it is restarted, 60s by default.",
      ),
    start_interval: duration().optional().describe("Time between checks during the start period."),
    disable: flag().optional().describe("Disable the health check of the image."),
  },
  "a mapping",
).describe("How Docker checks the health of the container.");

const port = z.union(
  [
    wholeNumber(1, "a port number"),
    text(),
    block(
      {
        target: wholeNumber(1, "a port number").describe("Container port."),
        published: z
          .union(
            [
              z.int({ error: "a port number" }).min(0, { error: "a port number" }),
              form(/^\d+(?:-\d+)?$/, "a port number"),
            ],
            {
              error: "a port number",
            },
          )
          .optional()
          .describe("Host port. Default: a free port."),
        host_ip: text().optional().describe("Host address. Default: 127.0.0.1."),
        protocol: choice(["tcp", "udp"]).optional().describe("Default: tcp."),
        name: text().optional().describe("Name of the port, for documentation only."),
      },
      "a mapping with `target`",
    ),
  ],
  { error: "a port, such as `8080:80`, or a mapping with `target`" },
);

const volume = z.union(
  [
    text(),
    block(
      {
        type: choice(["bind", "volume", "tmpfs"]).describe(
          "`bind` mounts a host path, `volume` a named volume, `tmpfs` an in-memory file system.",
        ),
        source: text().optional().describe("Host path, or key of `volumes`."),
        target: text().describe("Path in the container."),
        read_only: flag().optional().describe("Default: false."),
      },
      "a mapping with `type` and `target`",
    ),
  ],
  { error: "a mount, such as `./data:/data:ro`, or a mapping with `type` and `target`" },
);

const grant = (what: string) =>
  z.union(
    [
      text(`a ${what} name`),
      block(
        {
          source: text(`a ${what} name`).describe(`Key of \`${what}s\`.`),
          target: text().optional().describe("Path in the container."),
          uid: wholeNumber(0, "a numeric user ID").optional().describe("User ID of the file."),
          gid: wholeNumber(0, "a numeric group ID").optional().describe("Group ID of the file."),
          mode: z
            .union(
              [z.int({ error: permissions }).min(0, { error: permissions }), form(/^0?o?[0-7]{3,4}$/, permissions)],
              {
                error: permissions,
              },
            )
            .optional()
            .describe("File permissions in octal. Default: 0444."),
        },
        "a mapping with `source`",
      ),
    ],
    { error: `a ${what} name, or a mapping with \`source\`` },
  );

const envFile = z
  .union(
    [
      text(),
      z.array(
        z.union(
          [
            text(),
            block(
              {
                path: text().describe("Path of the file, relative to the pipeline file."),
                required: flag().optional().describe("Fail if the file does not exist. Default: true."),
              },
              "a mapping with `path`",
            ),
          ],
          { error: "a path, or a mapping with `path`" },
        ),
      ),
    ],
    { error: "a path or a list of paths" },
  )
  .describe("Files with `NAME=value` lines to add to the environment. `environment` takes precedence.");

const ulimits = mapping(
  z.union(
    [
      z.int({ error: "an integer" }).min(-1, { error: "an integer ≥ -1" }),
      form(/^(?:-1|\d+)$/, "an integer"),
      block(
        {
          soft: wholeNumber(-1, "an integer").describe("Soft limit."),
          hard: wholeNumber(-1, "an integer").describe("Hard limit."),
        },
        "a mapping with `soft` and `hard`",
      ),
    ],
    { error: "an integer, or a mapping with `soft` and `hard`" },
  ),
  "limits",
).describe("Ulimits, such as `nofile`.");

/** The Compose keys that components and services share. */
export const containerShape = {
  image: text("an image name").optional().describe("The image to run."),
  build: build.optional(),
  command: command("the command")
    .optional()
    .describe("Command to run. A string is split into arguments as a shell does it."),
  entrypoint: command("the command").optional().describe("Overrides the entrypoint of the image."),
  environment: assignments("variables")
    .optional()
    .describe("Environment variables. A variable without a value is taken from the environment of flowctl."),
  env_file: envFile.optional(),
  depends_on: dependsOn.optional(),
  deploy: deploy.optional(),
  healthcheck: healthcheck.optional(),
  labels: assignments("labels").optional().describe("Container labels."),
  networks: z
    .union(
      [
        z.array(text("a network name")),
        mapping(z.union([z.null(), block({}, "empty")], { error: "empty" }), "networks"),
      ],
      {
        error: "a list of networks",
      },
    )
    .optional()
    .describe("Networks to join in addition to the pipeline network."),
  ports: z.array(port, { error: "a list of ports" }).optional().describe("Ports to publish on the host."),
  volumes: z.array(volume, { error: "a list of mounts" }).optional().describe("Volumes and host paths to mount."),
  tmpfs: oneOrMany("a path").optional().describe("Paths to mount as in-memory file systems."),
  secrets: z
    .array(grant("secret"), { error: "a list of secrets" })
    .optional()
    .describe("Secrets to mount as files in /run/secrets."),
  configs: z.array(grant("config"), { error: "a list of configs" }).optional().describe("Configs to mount as files."),
  extra_hosts: z
    .union([z.array(text("`host:address`")), mapping(oneOrMany("an address"), "addresses")], {
      error: "a list of `host:address`, or a mapping of hosts to addresses",
    })
    .optional()
    .describe("Additional entries in /etc/hosts."),
  profiles: z
    .array(text("a profile name"), { error: "a list of profiles" })
    .optional()
    .describe("Profiles that enable it. Default: always enabled."),
  pull_policy: choice(["always", "missing", "if_not_present", "never", "build"])
    .optional()
    .describe("When to pull the image."),
  read_only: flag()
    .optional()
    .describe("Mount the root file system read-only. Default: true for built-in components, otherwise false."),
  restart: z
    .union([z.literal(false), form(/^(?:no|always|unless-stopped|on-failure(?::\d{1,9})?)$/, restart)], {
      error: restart,
    })
    .optional()
    .describe(
      "When to restart it. `on-failure:n` allows n restarts in a row. Default: `on-failure` for components, `no` for services.",
    ),
  stop_grace_period: duration().optional().describe("Time to wait between SIGTERM and SIGKILL. Default: 10s."),
  ulimits: ulimits.optional(),
  user: z
    .union([form(userPattern, user), z.int().min(0, { error: user }).max(mostUsers, { error: user })], { error: user })
    .optional()
    .describe("User to run as."),
  working_dir: text("a path").optional().describe("Working directory."),
} as const;
