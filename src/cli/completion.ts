// `forknet completion SHELL`: a script for the shell, made from the commands as they are; ids of
// guests come from the network itself when TAB is pressed.

import { Argument, type Command } from "commander";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

interface Completed {
  name: string;
  about: string;
  options: { flag: string; about: string }[];
  takesId: boolean;
}

/** Prints ids of guests, one a line, and nothing when there is no network. */
const IDS = "forknet status --interval 0 --json 2>/dev/null";
const READ_IDS = `${IDS} | sed -n 's/^      "instanceId": "\\([A-Za-z0-9._-]*\\)",$/\\1/p'`;

export function addCompletion(program: Command): void {
  program
    .command("completion")
    .description("print a script that completes commands, options and ids of guests")
    .addArgument(new Argument("<shell>", "for which shell").choices(SHELLS))
    .addHelpText(
      "after",
      `
Examples:
  forknet completion bash > /etc/bash_completion.d/forknet
  forknet completion zsh > /usr/local/share/zsh/site-functions/_forknet
  forknet completion fish > ~/.config/fish/completions/forknet.fish
`,
    )
    .action((shell: Shell) => {
      process.stdout.write(SCRIPTS[shell](commandsOf(program)));
    });
}

function commandsOf(program: Command): Completed[] {
  return program.commands.map((command) => ({
    name: command.name(),
    about: plain(command.description()),
    options: command.options.flatMap(({ long, description }) =>
      long ? [{ flag: long, about: plain(description) }] : [],
    ),
    takesId: command.registeredArguments.some((argument) => argument.name() === "id"),
  }));
}

/** Nothing that a shell or its completion reads as more than text. */
function plain(text: string): string {
  return text.replace(/[^A-Za-z0-9 ,.;/-]/g, "");
}

const SCRIPTS: Record<Shell, (commands: readonly Completed[]) => string> = {
  bash: (commands) => `# bash completion for forknet
_forknet() {
  local word=\${COMP_WORDS[COMP_CWORD]} words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${commands.map(({ name }) => name).join(" ")}"
  else
    case \${COMP_WORDS[1]} in
${commands.map(bashCase).join("\n")}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _forknet forknet
`,
  zsh: (commands) => `#compdef forknet
_forknet() {
  local -a commands ids
  commands=(
${commands.map(({ name, about }) => `    '${name}:${about}'`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case $words[2] in
${commands.map(zshCase).join("\n")}
  esac
}
if [ "$funcstack[1]" = _forknet ]; then
  _forknet "$@"
else
  compdef _forknet forknet
fi
`,
  fish: (commands) =>
    [
      "# fish completion for forknet",
      "complete -c forknet -f",
      ...commands.flatMap(fishLines),
      "",
    ].join("\n"),
};

function bashCase({ name, options, takesId }: Completed): string {
  const flags = options.map(({ flag }) => flag).join(" ");
  const ids = takesId
    ? `\n        case $word in -*) ;; *) words="$words $(${READ_IDS})" ;; esac`
    : "";
  return `      ${name})
        words="${flags}"${ids}
        ;;`;
}

function zshCase({ name, options, takesId }: Completed): string {
  const flags = options.map(({ flag, about }) => `'${flag}:${about}'`).join(" ");
  const ids = takesId ? `\n      ids=(\${(f)"$(${READ_IDS})"})\n      _describe guest ids` : "";
  return `    ${name})
      local -a flags
      flags=(${flags})
      _describe option flags${ids}
      ;;`;
}

function fishLines({ name, about, options, takesId }: Completed): string[] {
  const seen = `-n '__fish_seen_subcommand_from ${name}'`;
  return [
    `complete -c forknet -n __fish_use_subcommand -a ${name} -d '${about}'`,
    ...options.map(({ flag, about: text }) => {
      return `complete -c forknet ${seen} -l ${flag.replace(/^--/, "")} -d '${text}'`;
    }),
    ...(takesId
      ? [`complete -c forknet ${seen} -a "(${READ_IDS.replace(/[\\"$]/g, "\\$&")})"`]
      : []),
  ];
}
