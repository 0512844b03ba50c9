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
  z.union([anyText(), textList()], { error: `a text, or a list of texts: ${what}` }).nullable();

const build = z
  .union(
    [
      text(),
      block(
        {
          context: text().optional().describe("Folder that is sent to the engine, relative to the pipeline file."),
          dockerfile: text().optional().describe("Dockerfile, relative to the context. Default: `Dockerfile`."),
          dockerfile_inline: text().optional().describe("The content of the Dockerfile itself."),
          args: assignments("build arguments").optional().describe("Build arguments."),
          target: text().optional().describe("Stage of the Dockerfile to build."),
          labels: assignments("labels").optional().describe("Labels of the image."),
          cache_from: textList().optional().describe("Images to take cached layers from."),
          no_cache: flag().optional().describe("Build without the cache."),
          pull: flag().optional().describe("Pull base images even where they are present."),
          network: text().optional().describe("Network of the build's `RUN` steps."),
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
      z.array(text("the id of a component or service")),
      mapping(
        block(
          {
            condition: choice(["service_started", "service_healthy", "service_completed_successfully"])
              .optional()
              .describe("What has to be true of it. Default: `service_started`."),
            required: flag().optional().describe("Whether it must be there at all. Default: true."),
            restart: flag().optional().describe("Restart this one when that one is replaced. Default: false."),
          },
          "a mapping",
        ),
        "conditions",
      ),
    ],
    { error: "a list of ids, or a mapping from ids to conditions" },
  )
  .describe("What has to be up before this starts.");

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
    .describe(`Cores ${what}.`);
const memory = (what: string) => byteSize().optional().describe(`Memory ${what}, such as \`256M\`.`);

const limits = block(
  {
    cpus: cpus("at most"),
    memory: memory("at most"),
    pids: wholeNumber(1, "a whole number of at least 1").optional().describe("Most processes and threads."),
  },
  "a mapping",
);

const reservations = block({ cpus: cpus("kept free for it"), memory: memory("kept free for it") }, "a mapping");

const deploy = block(
  {
    replicas: wholeNumber(1, "an integer from 1 to 1000", 1000)
      .optional()
      .describe("How many instances run. Default: 1."),
    resources: block(
      {
        limits: limits.optional().describe("What an instance can use at most."),
        reservations: reservations.optional().describe("What is kept free for an instance."),
      },
      "a mapping with `limits` and `reservations`",
    )
      .optional()
      .describe("Limits and reservations of an instance."),
  },
  "a mapping",
).describe("Number of instances and their resources.");

const healthcheck = block(
  {
    test: z
      .union([text(), z.array(anyText()).min(1, { error: "a list that is not empty" })], {
        error: "a command line, or a list that begins with CMD, CMD-SHELL or NONE",
      })
      .optional()
      .describe("The check: a command line for the shell, or `[CMD, …]`, `[CMD-SHELL, …]`, `[NONE]`."),
    interval: duration().optional().describe("Time between checks."),
    timeout: duration().optional().describe("Time after which a check has failed."),
    retries: wholeNumber(0, "a whole number of at least 0")
      .optional()
      .describe("Failures in a row that make it unhealthy."),
    start_period: duration()
      .optional()
      .describe(
        "Time in which failures do not count; of a component also how long it may run without registering, 60s by default, before it is restarted.",
      ),
    start_interval: duration().optional().describe("Time between checks during the start period."),
    disable: flag().optional().describe("Switches the check of the image off."),
  },
  "a mapping",
).describe("How the engine checks the container's health.");

const port = z.union(
  [
    wholeNumber(1, "a port"),
    text(),
    block(
      {
        target: wholeNumber(1, "a port").describe("Port in the container."),
        published: z
          .union([z.int({ error: "a port" }).min(0, { error: "a port" }), form(/^\d+(?:-\d+)?$/, "a port")], {
            error: "a port",
          })
          .optional()
          .describe("Port on the host. Default: any free one."),
        host_ip: text().optional().describe("Address on the host. Default: 127.0.0.1."),
        protocol: choice(["tcp", "udp"]).optional().describe("Default: tcp."),
        name: text().optional().describe("For people; without effect."),
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
        type: choice(["bind", "volume", "tmpfs"]).describe("`bind` mounts a host path, `volume` a named volume."),
        source: text().optional().describe("Host path or key of `volumes`."),
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
      text(`the name of a ${what}`),
      block(
        {
          source: text(`the name of a ${what}`).describe(`Key of \`${what}s\`.`),
          target: text().optional().describe("Path in the container."),
          uid: wholeNumber(0, "the number of a user").optional().describe("Owner of the file."),
          gid: wholeNumber(0, "the number of a group").optional().describe("Group of the file."),
          mode: z
            .union(
              [z.int({ error: permissions }).min(0, { error: permissions }), form(/^0?o?[0-7]{3,4}$/, permissions)],
              {
                error: permissions,
              },
            )
            .optional()
            .describe("Permissions, in octal. Default: 0444."),
        },
        "a mapping with `source`",
      ),
    ],
    { error: `the name of a ${what}, or a mapping with \`source\`` },
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
                path: text().describe("The file, relative to the pipeline file."),
                required: flag().optional().describe("Whether it must exist. Default: true."),
              },
              "a mapping with `path`",
            ),
          ],
          { error: "a path, or a mapping with `path`" },
        ),
      ),
    ],
    { error: "a path, or a list of them" },
  )
  .describe("Files of `NAME=value` lines that are put into the environment, below `environment`.");

const ulimits = mapping(
  z.union(
    [
      z.int({ error: "a whole number" }).min(-1, { error: "a whole number of at least -1" }),
      form(/^(?:-1|\d+)$/, "a whole number"),
      block(
        {
          soft: wholeNumber(-1, "a whole number").describe("The soft limit."),
          hard: wholeNumber(-1, "a whole number").describe("The hard limit."),
        },
        "a mapping with `soft` and `hard`",
      ),
    ],
    { error: "a whole number, or a mapping with `soft` and `hard`" },
  ),
  "limits",
).describe("Limits of the kernel, such as `nofile`.");

/** The Compose keys that components and services share. */
export const containerShape = {
  image: text("the name of an image").optional().describe("The image to run."),
  build: build.optional(),
  command: command("the arguments").optional().describe("argv of the program. A text is split as a shell would."),
  entrypoint: command("the arguments").optional().describe("Replaces the image's entrypoint."),
  environment: assignments("variables")
    .optional()
    .describe("Environment variables. Without a value: that of the host."),
  env_file: envFile.optional(),
  depends_on: dependsOn.optional(),
  deploy: deploy.optional(),
  healthcheck: healthcheck.optional(),
  labels: assignments("labels").optional().describe("Labels of the container."),
  networks: z
    .union(
      [
        z.array(text("the name of a network")),
        mapping(z.union([z.null(), block({}, "empty")], { error: "empty" }), "networks"),
      ],
      {
        error: "a list of networks",
      },
    )
    .optional()
    .describe("Networks to join besides the pipeline's own."),
  ports: z.array(port, { error: "a list of ports" }).optional().describe("Ports to publish on the host."),
  volumes: z.array(volume, { error: "a list of mounts" }).optional().describe("Mounts."),
  tmpfs: oneOrMany("a path").optional().describe("Paths that live in memory."),
  secrets: z
    .array(grant("secret"), { error: "a list of secrets" })
    .optional()
    .describe("Secrets it gets as files in /run/secrets."),
  configs: z.array(grant("config"), { error: "a list of configs" }).optional().describe("Configs it gets as files."),
  extra_hosts: z
    .union([z.array(text("`host:address`")), mapping(oneOrMany("an address"), "addresses")], {
      error: "a list of `host:address`, or a mapping from hosts to addresses",
    })
    .optional()
    .describe("Further entries of /etc/hosts."),
  profiles: z
    .array(text("the name of a profile"), { error: "a list of profiles" })
    .optional()
    .describe("Profiles in which it takes part. None: it always does."),
  pull_policy: choice(["always", "missing", "if_not_present", "never", "build"])
    .optional()
    .describe("When to pull the image."),
  read_only: flag().optional().describe("Makes the root file system read-only."),
  restart: z
    .union([z.literal(false), form(/^(?:no|always|unless-stopped|on-failure(?::\d{1,9})?)$/, restart)], {
      error: restart,
    })
    .optional()
    .describe(
      "When to restart it; `on-failure:n`: n times in a row after its first start. Default: `on-failure` for components, `no` for services.",
    ),
  stop_grace_period: duration().optional().describe("Time between SIGTERM and SIGKILL. Default: 10s."),
  ulimits: ulimits.optional(),
  user: z
    .union([form(userPattern, user), z.int().min(0, { error: user }).max(mostUsers, { error: user })], { error: user })
    .optional()
    .describe("User to run as."),
  working_dir: text("a path").optional().describe("Working directory."),
} as const;
