import type { KeyPath } from "../problem.ts";

/**
 * Compose keys that flowctl does not honour, and what to do instead. A key that is in none of these tables, nor in the
 * schema, is unknown.
 */
type Advice = Readonly<Record<string, string>>;

const removeIt = "Remove it.";

const container: Advice = {
  annotations: "Use `labels`.",
  attach: "Remove it; use `flowctl logs <id>` to choose which logs to see.",
  blkio_config: removeIt,
  cap_add: "Remove it; containers run without capabilities.",
  cap_drop: "Remove it; containers already run without capabilities.",
  cgroup: removeIt,
  cgroup_parent: removeIt,
  container_name: "Remove it; flowctl names the containers, and the id is the host name.",
  cpu_count: "Use `deploy.resources.limits.cpus`.",
  cpu_percent: "Use `deploy.resources.limits.cpus`.",
  cpu_period: "Use `deploy.resources.limits.cpus`.",
  cpu_quota: "Use `deploy.resources.limits.cpus`.",
  cpu_rt_period: removeIt,
  cpu_rt_runtime: removeIt,
  cpu_shares: "Use `deploy.resources.limits.cpus`.",
  cpus: "Use `deploy.resources.limits.cpus`.",
  cpuset: removeIt,
  credential_spec: removeIt,
  develop: removeIt,
  device_cgroup_rules: removeIt,
  devices: removeIt,
  dns: "Use `extra_hosts`.",
  dns_opt: "Use `extra_hosts`.",
  dns_search: "Use `extra_hosts`.",
  domainname: "Remove it; the id of the component is its host name.",
  expose: "Remove it; components reach each other on every port.",
  extends: "Use a YAML anchor and the merge key `<<`, or `include`.",
  external_links: "Use `networks` to join the network of the other container.",
  gpus: removeIt,
  group_add: "Use `user: <uid>:<gid>`.",
  hostname: "Remove it; the id of the component is its host name.",
  init: "Remove it; containers already run with an init process.",
  ipc: removeIt,
  isolation: removeIt,
  label_file: "Use `labels`.",
  links: "Remove it; components reach each other by id. Use `depends_on` to set the start order.",
  logging: "Remove it; use `flowctl logs` to view the output of components.",
  mac_address: removeIt,
  mem_limit: "Use `deploy.resources.limits.memory`.",
  mem_reservation: "Use `deploy.resources.reservations.memory`.",
  mem_swappiness: removeIt,
  memswap_limit: removeIt,
  models: removeIt,
  network_mode: "Remove it, or use `networks`.",
  oom_kill_disable: removeIt,
  oom_score_adj: removeIt,
  pid: removeIt,
  pids_limit: "Use `deploy.resources.limits.pids`.",
  platform: removeIt,
  post_start: removeIt,
  pre_stop: removeIt,
  privileged: "Remove it; containers run unprivileged.",
  provider: removeIt,
  runtime: removeIt,
  scale: "Use `deploy.replicas`.",
  security_opt: "Remove it; containers already run with `no-new-privileges`.",
  shm_size: "Use `tmpfs`.",
  stdin_open: removeIt,
  stop_signal: "Remove it; containers are stopped with SIGTERM.",
  storage_opt: removeIt,
  sysctls: removeIt,
  tty: removeIt,
  use_api_socket: removeIt,
  userns_mode: removeIt,
  uts: removeIt,
  volumes_from: "List the volumes in `volumes`.",
};

const build: Advice = {
  additional_contexts: "Put the files in the build context.",
  cache_to: removeIt,
  entitlements: removeIt,
  extra_hosts: removeIt,
  isolation: removeIt,
  platforms: removeIt,
  privileged: removeIt,
  provenance: removeIt,
  sbom: removeIt,
  secrets: "Build the image beforehand and reference it with `image`.",
  shm_size: removeIt,
  ssh: "Build the image beforehand and reference it with `image`.",
  tags: "Use `image` to name the built image.",
  ulimits: removeIt,
};

const deploy: Advice = {
  endpoint_mode: removeIt,
  labels: "Use `labels` on the component.",
  mode: "Use `replicas`.",
  placement: removeIt,
  restart_policy: "Use `restart` on the component.",
  rollback_config: removeIt,
  update_config: removeIt,
};

const top: Advice = { models: removeIt };
const port: Advice = { app_protocol: removeIt, mode: removeIt };
const mount: Advice = {
  bind: "Remove it; bind options are not supported.",
  consistency: removeIt,
  image: removeIt,
  tmpfs: removeIt,
  volume: removeIt,
};
const resource: Advice = { attachable: removeIt, enable_ipv4: removeIt, enable_ipv6: removeIt, ipam: removeIt };
const grantSource: Advice = {
  driver: removeIt,
  driver_opts: removeIt,
  labels: removeIt,
  template_driver: removeIt,
  external: "Use `file`, `environment` or `content`.",
  name: removeIt,
};
const attachment: Advice = {
  aliases: "Remove it; components and services are reachable by id.",
  driver_opts: removeIt,
  gw_priority: removeIt,
  interface_name: removeIt,
  ipv4_address: removeIt,
  ipv6_address: removeIt,
  link_local_ips: removeIt,
  mac_address: removeIt,
  priority: removeIt,
};

/** What to do instead of a Compose key that is not honoured at `path`; undefined when it is no such key. */
export function unsupportedAdvice(path: KeyPath): string | undefined {
  const key = String(path.at(-1));
  const table = unsupportedKeys(path.slice(0, -1));
  return table !== undefined && Object.hasOwn(table, key) ? table[key] : undefined;
}

/** Compose's keys of the mapping at `owner` that are not honoured, each with what to do instead. */
export function unsupportedKeys(owner: KeyPath): Readonly<Record<string, string>> | undefined {
  const [section, , part, fourth] = owner;
  if (owner.length === 0) return top;
  if (section === "volumes" || section === "networks") return resource;
  if (section === "secrets" || section === "configs") return grantSource;
  if (owner.length === 2) return container;
  if (part === "build" && owner.length === 3) return build;
  if (part === "deploy" && owner.length === 3) return deploy;
  if (part === "deploy" && fourth === "resources") {
    return { devices: removeIt, generic_resources: removeIt, pids: "Use `limits.pids`." };
  }
  if (part === "ports") return port;
  if (part === "volumes") return mount;
  if (part === "networks") return attachment;
  if (part === "env_file") return { format: removeIt };
  return undefined;
}

/** Keys that people write out of habit, and what they are called here. */
const otherNames: Readonly<Record<string, string>> = {
  transforms: "Use `processors`.",
  transform: "Use `processors`.",
  pipeline: "Use `name`, `sources`, `processors` and `sinks` at the top of the file.",
  steps: "Use `processors`.",
  replicas: "Use `deploy.replicas`.",
  instances: "Use `deploy.replicas`.",
  resources: "Use `deploy.resources`.",
  limits: "Use `deploy.resources.limits`.",
  memory: "Use `deploy.resources.limits.memory`.",
  env: "Use `environment`.",
  from: "Use `inputs`.",
  input: "Use `inputs`.",
  type: "The section says whether it is a source, a processor or a sink. For a built-in component, use `uses`.",
  config: "Use `with`.",
  settings: "Use `with`.",
  types: "Write it in an input: `inputs: [{ from: <id>, types: […] }]`.",
  buffer: "Write it in an input: `inputs: [{ from: <id>, buffer: { … } }]`.",
  outputs: "Add this component to the `inputs` of its downstream components.",
  args: "Use `command`.",
};

const noManifest = "Remove it: a pipeline file is not a Kubernetes manifest.";

/** Keys of a Kubernetes manifest. */
const manifestKeys: Readonly<Record<string, string>> = {
  apiVersion: noManifest,
  kind: noManifest,
  metadata: "Write `name: …` at the top of the file.",
  spec: "Move the keys below it to the top of the file.",
};

/** What to write instead of a key of the whole file that belongs into another kind of file. */
export function manifestKey(key: string): string | undefined {
  return Object.hasOwn(manifestKeys, key) ? manifestKeys[key] : undefined;
}

/** What to use instead of a key that is called otherwise here. */
export function otherName(key: string): string | undefined {
  return Object.hasOwn(otherNames, key) ? otherNames[key] : undefined;
}
