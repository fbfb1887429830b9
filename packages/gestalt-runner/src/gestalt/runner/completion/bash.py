"""Completion for bash, from version 4 on."""

from collections.abc import Iterator, Sequence

from .command import Command, behind

TEMPLATE = """\
# Completion of gestalt for bash: eval "$(gestalt completion bash)"
_gestalt() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    # Between an option and its value, "=" is a word of its own.
    if [[ $word == "=" ]]; then
        word=""
    elif [[ $before == "=" ]]; then
        before=${COMP_WORDS[COMP_CWORD-2]}
    fi
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W "COMMANDS" -- "$word"))
        return
    fi
    case "${COMP_WORDS[1]} $before" in
VALUES
    esac
    case ${COMP_WORDS[1]} in
FLAGS
    esac
}
complete -F _gestalt gestalt
"""

FILES = 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen {} -- "$word"); return'
WORDS = 'COMPREPLY=($(compgen -W "{}" -- "$word"))'


def script(commands: Sequence[Command]) -> str:
    """What bash is to read."""
    names = " ".join([*(command.name for command in commands), "--help", "--version"])
    flags = [
        f"        {command.name}) {WORDS.format(' '.join([*command.words, *command.flags]))} ;;"
        for command in commands
    ]
    values = [f"        {line} ;;" for command in commands for line in _values(command)]
    text = TEMPLATE.replace("COMMANDS", names).replace("FLAGS", "\n".join(flags))
    return text.replace("VALUES", "\n".join(values))


def _values(command: Command) -> Iterator[str]:
    for option in command.options:
        kind = behind(option)
        if option.positional or kind == "nothing":
            continue
        actions = {
            "word": f"{WORDS.format(' '.join(option.choices))}; return",
            "file": FILES.format("-f"),
            "folder": FILES.format("-d"),
            "text": "return",
        }
        yield f'"{command.name} --{option.name}") {actions[kind]}'
