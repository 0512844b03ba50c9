import type { Command, Option } from "commander";
import { DescribedCommand, PipelineNameOption } from "./command.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** What completion scripts ask for ids and names of pipelines, with the words that were typed so far after `--`. */
export const IDS_COMMAND = "__ids";

/** What can be typed after one command path: its subcommands and options, and ids of what runs. */
interface Entry {
  /** Without the program's name; empty for the program itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly OptionEntry[];
  readonly takesIds: boolean;
}

interface OptionEntry {
  readonly flags: readonly string[];
  readonly summary: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
  /** Its value is the name of a pipeline. */
  readonly takesPipeline: boolean;
}

/**
 * A completion script made from the commands themselves: subcommands, options, the values an option can have, file
 * names elsewhere. While completing, flowctl is asked for nothing but ids of what runs and names of pipelines, where they
 * are taken.
 */
export function completionScript(shell: Shell, program: Command): string {
  const entries = entriesOf(program, "");
  const name = program.name();
  switch (shell) {
    case "bash":
      return bash(name, entries);
    case "zsh":
      return zsh(name, entries);
    case "fish":
      return fish(name, entries);
  }
}

function entriesOf(command: Command, path: string): readonly Entry[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const own: Entry = {
    path,
    commands: commands.map((child) => ({ name: child.name(), summary: child.summary() || child.description() })),
    options: help.visibleOptions(command).map(optionEntry),
    takesIds: command instanceof DescribedCommand && command.text.takes !== undefined,
  };
  const inner = commands
    .filter((child) => child.name() !== "help")
    .flatMap((child) => entriesOf(child, path === "" ? child.name() : `${path} ${child.name()}`));
  return [own, ...inner];
}

function optionEntry(option: Option): OptionEntry {
  return {
    flags: flagsOf(option),
    summary: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
    takesPipeline: option instanceof PipelineNameOption,
  };
}

/** The words that an option can be typed as. */
export function flagsOf({ short, long }: Option): readonly string[] {
  return [short, long].filter((flag) => flag !== undefined && flag !== null);
}

/** The flags whose value is the name of a pipeline. */
function pipelineFlags(entries: readonly Entry[]): readonly string[] {
  const options = entries.flatMap((entry) => entry.options).filter(({ takesPipeline }) => takesPipeline);
  return [...new Set(options.flatMap(({ flags }) => flags))];
}

/**
 * Patterns of bash and zsh for a command path with the word after it that comes before the one being typed: where that word
 * is an option which takes a value, and all others where an id can follow.
 */
function idPatterns(entries: readonly Entry[], quote: (text: string) => string): { values: string; ids: string } {
  const takingIds = entries.filter(({ takesIds }) => takesIds);
  const values = takingIds.flatMap(({ path, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .flatMap(({ flags }) => flags.map((flag) => quote(`${path} ${flag}`))),
  );
  return { values: values.join("|"), ids: takingIds.map(({ path }) => `${quote(`${path} `)}*`).join("|") };
}

function bash(name: string, entries: readonly Entry[]): string {
  const words = ({ commands, options }: Entry): string =>
    [...commands.map((command) => command.name), ...options.flatMap(({ flags }) => flags)].join(" ");
  const choices = new Map<string, string>();
  for (const { options } of entries) {
    for (const option of options) {
      if (option.choices.length > 0) for (const flag of option.flags) choices.set(flag, option.choices.join(" "));
    }
  }
  const paths = entries.map((entry) => `    "${entry.path}") words="${words(entry)}" ;;`);
  const values = [...choices].map(
    ([flag, list]) => `    ${flag}) COMPREPLY=($(compgen -W "${list}" -- "$current")); return ;;`,
  );
  const known = entries.filter(({ path }) => path !== "").map(({ path }) => `"${path}"`);
  const { values: idless, ids } = idPatterns(entries, (text) => `"${text}"`);
  return `# bash completion for ${name}
_${name}_ids() {
  "\${COMP_WORDS[0]}" ${IDS_COMMAND} -- "\${typed[@]}" 2>/dev/null
}
# Offers what flowctl says. None of it is a file: a folder of the same name would have a slash added to it.
_${name}_offer_ids() {
  compopt +o filenames 2>/dev/null
  local id
  COMPREPLY=()
  # Anybody can choose a name: it is quoted, and never expanded as compgen -W would.
  while IFS= read -r id; do
    [[ "$id" != "$current"* ]] || COMPREPLY+=("$(printf %q "$id")")
  done < <(_${name}_ids)
  # The number of instances follows at once.
  [[ "\${COMPREPLY[0]}" != *= ]] || compopt -o nospace 2>/dev/null
}
_${name}() {
  local current="" previous="" path="" word last candidate words
  local -a typed=()
  # Bash takes a word apart at each "=", and completes what is after it.
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    last=$((\${#typed[@]} - 1))
    if [[ $last -ge 0 && ( "$word" == = || "\${typed[last]}" == *= ) ]]; then
      typed[last]+="$word"
    else
      typed+=("$word")
    fi
  done
  last=$((\${#typed[@]} - 1))
  current="\${typed[last]}"
  unset "typed[last]"
  if [[ "$current" == --*=* && "$COMP_WORDBREAKS" == *=* ]]; then
    typed+=("\${current%%=*}")
    current="\${current#*=}"
  fi
  [[ \${#typed[@]} -eq 0 ]] || previous="\${typed[\${#typed[@]} - 1]}"
  case "$previous" in
${values.join("\n")}
    ${pipelineFlags(entries).join("|")}) _${name}_offer_ids; return ;;
  esac
  for word in "\${typed[@]}"; do
    candidate="\${path:+$path }$word"
    case "$candidate" in
    ${known.join("|")}) path="$candidate" ;;
    esac
  done
  case "$path" in
${paths.join("\n")}
  esac
  case "$path $previous" in
    ${idless}) ;;
    ${ids})
      if [[ "$current" == *=* ]]; then return; fi
      if [[ "$current" != -* ]]; then _${name}_offer_ids; return; fi ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$current")
  fi
}
complete -o filenames -F _${name} ${name}
`;
}

function zsh(name: string, entries: readonly Entry[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const described = (text: string, summary: string): string =>
    quote(`${text.replaceAll(":", "\\:")}:${summary.replaceAll(":", "\\:")}`);
  const cases = entries.map(({ path, commands, options }) => {
    const list = [
      ...commands.map((command) => described(command.name, command.summary)),
      ...options.flatMap(({ flags, summary }) => flags.map((flag) => described(flag, summary))),
    ];
    return `    ${quote(path)}) candidates=(${list.join(" ")}) ;;`;
  });
  const values = new Map<string, readonly string[]>();
  for (const { options } of entries) {
    for (const option of options) {
      if (option.choices.length > 0) for (const flag of option.flags) values.set(flag, option.choices);
    }
  }
  const valueCases = [...values].map(
    ([flag, list]) => `    ${flag}) compadd -- ${list.map(quote).join(" ")}; return ;;`,
  );
  const known = entries.filter(({ path }) => path !== "").map(({ path }) => quote(path));
  const { values: idless, ids } = idPatterns(entries, quote);
  return `#compdef ${name}
# zsh completion for ${name}
_${name}_offer_ids() {
  local -a ids
  ids=(\${(f)"$(${name} ${IDS_COMMAND} -- "\${(@Q)typed}" 2>/dev/null)"})
  # The number of instances follows "=" at once.
  if [[ "\${ids[1]}" == *= ]]; then compadd -S '' -- "\${ids[@]}"; else compadd -- "\${ids[@]}"; fi
}
_${name}() {
  local path_="" word candidate current="\${words[CURRENT]}"
  local -a candidates typed
  typed=("\${(@)words[2,CURRENT-1]}")
  if [[ "$current" == --*=* ]]; then
    typed+=("\${current%%=*}")
    current="\${current#*=}"
    compset -P 1 '*='
  fi
  local previous="\${typed[-1]}"
  case "$previous" in
${valueCases.join("\n")}
    ${pipelineFlags(entries).join("|")}) _${name}_offer_ids; return ;;
  esac
  for word in "\${typed[@]}"; do
    candidate="\${path_:+$path_ }$word"
    case "$candidate" in
    ${known.join("|")}) path_="$candidate" ;;
    esac
  done
  case "$path_" in
${cases.join("\n")}
  esac
  case "$path_ $previous" in
    ${idless}) ;;
    ${ids})
      if [[ "$current" != -* ]]; then _${name}_offer_ids; return; fi ;;
  esac
  _describe '${name}' candidates || _files
  [[ "$current" == -* ]] || _files
}
if [ "\${funcstack[1]}" = "_${name}" ]; then
  _${name} "$@"
else
  compdef _${name} ${name}
fi
`;
}

function fish(name: string, entries: readonly Entry[]): string {
  const quote = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const asked = `${name} ${IDS_COMMAND} -- (commandline -opc)[2..]`;
  // In `enrich=` the number is due, and fish would add a space to what is complete.
  const ids = `(string match -q -- "*=*" (commandline -ct); or ${asked} 2>/dev/null)`;
  const pipelines = `(${asked} (string match -r -- "^--[^=]+(?==)" (commandline -ct)) 2>/dev/null)`;
  const lines = [`# fish completion for ${name}`];
  for (const { path, commands, options, takesIds } of entries) {
    const condition = conditionOf(path, commands);
    if (takesIds) lines.push(`complete -c ${name} -n ${quote(condition)} -f -a ${quote(ids)}`);
    for (const command of commands) {
      lines.push(`complete -c ${name} -n ${quote(condition)} -a ${command.name} -d ${quote(command.summary)}`);
    }
    for (const { flags, summary, takesValue, takesPipeline, choices } of options) {
      const parts = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
      if (choices.length > 0) parts.push("-x", "-a", quote(choices.join(" ")));
      else if (takesPipeline) parts.push("-x", "-a", quote(pipelines));
      else if (takesValue) parts.push("-r");
      const where = path === "" ? "__fish_use_subcommand" : `__fish_seen_subcommand_from ${path.split(" ").at(-1)}`;
      lines.push(`complete -c ${name} -n ${quote(where)} ${parts.join(" ")} -d ${quote(summary)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function conditionOf(path: string, commands: Entry["commands"]): string {
  if (path === "") return "__fish_use_subcommand";
  const others = commands.map(({ name }) => name).join(" ");
  const seen = `__fish_seen_subcommand_from ${path.split(" ").at(-1)}`;
  return others === "" ? seen : `${seen}; and not __fish_seen_subcommand_from ${others}`;
}
