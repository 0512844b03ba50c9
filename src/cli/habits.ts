import type { Command } from "commander";
import { closest } from "../foundation/did-you-mean.ts";

/** Commands of other programs, with what does the same here: said when somebody types one that flowctl does not have. */
const COMMANDS: Readonly<Record<string, string>> = {
  apply: "`flowctl up -d` starts a pipeline, or changes it to what its file says",
  attach: "`flowctl logs -f` follows the logs; `flowctl up` attaches to a running pipeline, and Ctrl-C then stops it",
  build: "`flowctl up --build` builds the images and replaces what runs an old one",
  check: "`flowctl validate` checks the file, `flowctl doctor` the machine and what runs",
  cp: "On Docker, `docker cp` copies files; `flowctl ps -q` prints the ids of the containers",
  create: "`flowctl up -d` creates and starts; `flowctl up --dry-run` only shows what would be done",
  delete: "`flowctl down` removes a pipeline",
  describe: "`flowctl inspect` shows all about a component",
  destroy: "`flowctl down -v` removes a pipeline and its state",
  diff: "`flowctl up --dry-run` shows what the file would change",
  exec: "On Docker, `docker exec -it` runs a program in a container; `flowctl ps -q` prints the ids of the containers",
  get: "`flowctl ps` lists instances, `flowctl inspect` shows all about a component",
  images: "`flowctl ps --json` names the image of each instance",
  kill: "`flowctl stop --timeout 0` kills; with ids, only those",
  lint: "`flowctl validate` checks the file",
  list: "`flowctl ps -a` lists every pipeline on this machine",
  log: "`flowctl logs` shows what components logged",
  ls: "`flowctl ps -a` lists every pipeline on this machine",
  pause:
    "`flowctl stop` with the ids of the sources lets no more events in; `flowctl start` continues where they stopped",
  port: "`flowctl ps` shows the ports",
  pull: "`flowctl up` pulls images that are missing; `pull_policy: always` in the file pulls them every time",
  push: "`docker push` does it: flowctl publishes no images",
  reload: "`flowctl up -d` applies an edited file; `flowctl up --watch` does at every save",
  edit: "Edit the file, then `flowctl up -d` applies it; `flowctl up --watch` does at every save",
  "port-forward": "`flowctl ps` shows the ports, which are on this machine already",
  rollout:
    "`flowctl restart` restarts, `flowctl wait --state healthy` waits; `flowctl up --wait` goes back where a change does not work",
  rm: "`flowctl down` removes a pipeline; a component that is taken out of the file is removed by `flowctl up -d`",
  stats: "`flowctl status` shows rates and buffers of each component",
  tail: "`flowctl logs -f` follows the logs",
  top: "`flowctl status` shows rates and buffers of each component",
  unpause: "`flowctl start` starts what was stopped",
  volumes: "`flowctl down -v` removes the volumes of a pipeline; `docker volume ls` lists them",
  watch: "`flowctl up --watch` applies every edit as it is saved",
};

/** Options of the same commands of Docker Compose, by command. */
const OPTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  up: {
    "--pull": "`pull_policy` in the file says when an image is pulled: always, missing or never",
    "--no-deps": "`flowctl restart` with an id restarts one component alone",
    "--no-build": "Leave it out: images that exist are only built again with --build",
    "--no-recreate": "Leave it out: only what the file changes is replaced",
    "--no-start": "`flowctl up --dry-run` shows what would be started",
    "--abort-on-container-exit": "`flowctl run` stops the whole pipeline when a component fails",
    "--attach": "`flowctl logs -f` with ids follows some components",
    "-t": "`stop_grace_period` in the file says how long a component may take to stop",
  },
  restart: { "-t": "`stop_grace_period` in the file says how long a component may take to stop" },
  stop: {
    "-s": "A component is stopped with SIGTERM, and killed after its `stop_grace_period`; `--timeout 0` kills at once",
  },
  config: {
    "--services": "`flowctl ps --services` lists the components",
    "-q": "`flowctl validate -q` only checks the file",
    "--quiet": "`flowctl validate -q` only checks the file",
  },
  down: { "--rmi": "`docker image rm` removes images" },
  ps: {
    "--filter": "`flowctl ps --json` is easily filtered, for example with jq",
    "--status": "`flowctl ps --json` is easily filtered, for example with jq",
  },
  logs: { "--until": "`flowctl logs --timestamps` shows the times", "--no-color": "Set NO_COLOR=1" },
};

/** What to do about a command that does not exist; undefined where nothing is like it. */
export function insteadOfCommand(word: string, parent: Command): string | undefined {
  const habit = parent.parent === null && Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  return habit ?? meant(closest(word, visible(parent)));
}

/** The same for an option that the command does not have. */
export function insteadOfOption(word: string, command: Command): string | undefined {
  if (command.parent === null) return "Name a command, such as `flowctl up -f FILE`";
  const known = OPTIONS[command.name()] ?? {};
  const habit = command.parent.parent === null && Object.hasOwn(known, word) ? known[word] : undefined;
  const long = command.options.flatMap((option) => (option.hidden || option.long === undefined ? [] : [option.long]));
  return habit ?? (word.startsWith("--") ? meant(closest(word, long)) : undefined);
}

function visible(command: Command): readonly string[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((child) => child.name());
}

function meant(near: string | undefined): string | undefined {
  return near === undefined ? undefined : `Did you mean ${near}?`;
}
