/** An edit of one key of a component, as the two components that the file says before and after. */
export interface KeyEdit {
  readonly section: "sources" | "processors" | "sinks";
  readonly before: Readonly<Record<string, unknown>>;
  readonly after: Readonly<Record<string, unknown>>;
}

const program = { image: "x:1", command: ["sh"] };

/** An edit of a sink that is a program of one's own, and an image: it runs on every driver. */
function own(before: Record<string, unknown>, after: Record<string, unknown>): KeyEdit {
  return {
    section: "sinks",
    before: { ...program, inputs: ["feed"], ...before },
    after: { ...program, inputs: ["feed"], ...after },
  };
}

/** An edit of a built-in sink. */
function builtin(before: Record<string, unknown>, after: Record<string, unknown>): KeyEdit {
  return { section: "sinks", before: { inputs: ["feed"], ...before }, after: { inputs: ["feed"], ...after } };
}

/** The same key with two values, below `path` and beside `fixed`. */
function values(
  path: string,
  [before, after]: readonly [unknown, unknown],
  fixed: Record<string, unknown> = {},
): KeyEdit {
  const at = (value: unknown): Record<string, unknown> =>
    path.split(".").reduceRight<unknown>((inner, key, index, all) => {
      const beside = index === all.length - 1 ? fixed : {};
      return key === "*" ? [inner] : { ...beside, [key]: inner };
    }, value) as Record<string, unknown>;
  return own(at(before), at(after));
}

const input = { from: "feed" };
const buffer = (more: Record<string, unknown>) => ({ inputs: [{ ...input, buffer: { max_events: 10, ...more } }] });
const check = { test: ["CMD", "true"] };
const grant = { source: "one" };
const mount = { type: "volume", source: "data", target: "/data" };
const publish = { target: 80 };
const dead = { action: "dead_letter", to: "bad" };

/** For every key of a component, by its path in the schema, an edit that changes nothing else. */
export const keyEdits: Readonly<Record<string, KeyEdit>> = {
  uses: builtin({ uses: "discard" }, { uses: "stdout" }),
  with: builtin({ uses: "file", with: { path: "a.jsonl" } }, { uses: "file", with: { path: "b.jsonl" } }),
  "inputs.from": own({ inputs: [{ from: "feed" }] }, { inputs: [{ from: "other" }] }),
  "inputs.types": own(
    { inputs: [{ ...input, types: ["generated"] }] },
    { inputs: [{ ...input, types: ["generated", "b"] }] },
  ),
  "inputs.buffer.type": own(buffer({ type: "memory" }), buffer({ type: "disk" })),
  "inputs.buffer.max_events": own(buffer({}), buffer({ max_events: 20 })),
  "inputs.buffer.max_bytes": own(buffer({ max_bytes: "1M" }), buffer({ max_bytes: "2M" })),
  "inputs.buffer.when_full": own(buffer({}), buffer({ when_full: "drop_oldest" })),
  consumes: values("consumes", [["generated"], ["generated", "b"]]),
  produces: {
    section: "sources",
    before: { ...program, produces: ["a"] },
    after: { ...program, produces: ["a", "b"] },
  },
  "on_error.action": values("on_error.action", ["fail", "drop"]),
  "on_error.to": values("on_error", [dead, { ...dead, to: "rest" }]),
  "on_error.retries": values("on_error.retries", [1, 2], { action: "retry" }),
  "on_error.backoff": values("on_error.backoff", ["1s", "2s"], { action: "retry" }),
  partition_by: values("partition_by", ["payload.a", "payload.b"]),
  inherit_environment: values("inherit_environment", [false, true]),
  image: values("image", ["x:1", "x:2"]),
  "build.context": values("build.context", [".", "./files"]),
  "build.dockerfile": values("build.dockerfile", ["Dockerfile", "Other"], { context: "." }),
  "build.dockerfile_inline": values("build.dockerfile_inline", ["FROM a", "FROM b"], { context: "." }),
  "build.args": values("build.args", [{ A: "1" }, { A: "2" }], { context: "." }),
  "build.target": values("build.target", ["a", "b"], { context: "." }),
  "build.labels": values("build.labels", [{ a: "1" }, { a: "2" }], { context: "." }),
  "build.cache_from": values("build.cache_from", [["a"], ["b"]], { context: "." }),
  "build.no_cache": values("build.no_cache", [false, true], { context: "." }),
  "build.pull": values("build.pull", [false, true], { context: "." }),
  "build.network": values("build.network", ["none", "host"], { context: "." }),
  command: values("command", [["sh"], ["sh", "-e"]]),
  entrypoint: values("entrypoint", [["sh"], ["env"]]),
  environment: values("environment", [{ A: "1" }, { A: "2" }]),
  "env_file.path": values("env_file", ["one.env", "two.env"]),
  "env_file.required": values("env_file.*.required", [true, false], { path: "one.env" }),
  "depends_on.condition": values("depends_on.rest.condition", ["service_started", "service_healthy"]),
  "depends_on.required": values("depends_on.rest.required", [true, false]),
  "depends_on.restart": values("depends_on.rest.restart", [false, true]),
  "deploy.replicas": values("deploy.replicas", [1, 2]),
  "deploy.resources.limits.cpus": values("deploy.resources.limits.cpus", [1, 2]),
  "deploy.resources.limits.memory": values("deploy.resources.limits.memory", ["64M", "128M"]),
  "deploy.resources.limits.pids": values("deploy.resources.limits.pids", [50, 60]),
  "deploy.resources.reservations.cpus": values("deploy.resources.reservations.cpus", [1, 2]),
  "deploy.resources.reservations.memory": values("deploy.resources.reservations.memory", ["64M", "128M"]),
  "healthcheck.test": values("healthcheck.test", [
    ["CMD", "true"],
    ["CMD", "false"],
  ]),
  "healthcheck.interval": values("healthcheck.interval", ["5s", "6s"], check),
  "healthcheck.timeout": values("healthcheck.timeout", ["5s", "6s"], check),
  "healthcheck.retries": values("healthcheck.retries", [1, 2], check),
  "healthcheck.start_period": values("healthcheck.start_period", ["5s", "6s"], check),
  "healthcheck.start_interval": values("healthcheck.start_interval", ["5s", "6s"], check),
  "healthcheck.disable": values("healthcheck.disable", [false, true], check),
  labels: values("labels", [{ a: "1" }, { a: "2" }]),
  networks: values("networks", [["back"], ["front"]]),
  "ports.target": values("ports", [[{ target: 80 }], [{ target: 81 }]]),
  "ports.published": values("ports.*.published", [8101, 8102], publish),
  "ports.host_ip": values("ports.*.host_ip", ["127.0.0.1", "127.0.0.2"], publish),
  "ports.protocol": values("ports.*.protocol", ["tcp", "udp"], publish),
  "ports.name": values("ports.*.name", ["a", "b"], publish),
  "volumes.type": values("volumes", [[mount], [{ type: "tmpfs", target: "/data" }]]),
  "volumes.source": values("volumes", [[mount], [{ ...mount, source: "more" }]]),
  "volumes.target": values("volumes", [[mount], [{ ...mount, target: "/other" }]]),
  "volumes.read_only": values("volumes.*.read_only", [false, true], mount),
  tmpfs: values("tmpfs", ["/a", "/b"]),
  "secrets.source": values("secrets", [[{ source: "one" }], [{ source: "two" }]]),
  "secrets.target": values("secrets.*.target", ["/run/secrets/a", "/run/secrets/b"], grant),
  "secrets.uid": values("secrets.*.uid", [1, 2], grant),
  "secrets.gid": values("secrets.*.gid", [1, 2], grant),
  "secrets.mode": values("secrets.*.mode", ["0400", "0440"], grant),
  "configs.source": values("configs", [[{ source: "one" }], [{ source: "two" }]]),
  "configs.target": values("configs.*.target", ["/a", "/b"], grant),
  "configs.uid": values("configs.*.uid", [1, 2], grant),
  "configs.gid": values("configs.*.gid", [1, 2], grant),
  "configs.mode": values("configs.*.mode", ["0400", "0440"], grant),
  extra_hosts: values("extra_hosts", [["a:1.2.3.4"], ["a:1.2.3.5"]]),
  profiles: own({}, { profiles: ["off"] }),
  pull_policy: values("pull_policy", ["missing", "always"]),
  read_only: values("read_only", [false, true]),
  restart: values("restart", ["on-failure:3", "on-failure:4"]),
  stop_grace_period: values("stop_grace_period", ["10s", "20s"]),
  "ulimits.soft": values("ulimits.nofile", [
    { soft: 1, hard: 9 },
    { soft: 2, hard: 9 },
  ]),
  "ulimits.hard": values("ulimits.nofile", [
    { soft: 1, hard: 8 },
    { soft: 1, hard: 9 },
  ]),
  user: values("user", ["1000", "1001"]),
  working_dir: values("working_dir", ["/", "/tmp"]),
};
