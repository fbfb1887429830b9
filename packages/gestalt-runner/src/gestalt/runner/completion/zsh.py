"""Completion for zsh."""

from collections.abc import Iterator, Sequence
from typing import Any

from gestalt.runner.options.option import Option

from .command import Command, behind

TEMPLATE = """\
#compdef gestalt
# Completion of gestalt for zsh: eval "$(gestalt completion zsh)", after compinit
_gestalt() {
    if (( CURRENT == 2 )); then
        local -a commands=(
COMMANDS
        )
        _describe command commands
        return
    fi
    local name=$words[2]
    shift words
    (( CURRENT-- ))
    case $name in
CASES
    esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _gestalt "$@"
else
    compdef _gestalt gestalt
fi
"""

CASE = """\
        {})
            _arguments \\
{}
            ;;"""


def script(commands: Sequence[Command]) -> str:
    """What zsh is to read."""
    listed = [f"            {_quoted(f'{each.name}:{each.help}')}" for each in commands]
    cases = [
        CASE.format(command.name, " \\\n".join(f"                {s}" for s in _specs(command)))
        for command in commands
    ]
    text = TEMPLATE.replace("COMMANDS", "\n".join(listed))
    return text.replace("CASES", "\n".join(cases))


def _specs(command: Command) -> Iterator[str]:
    yield _quoted("(- *)--help[show the help]")
    for option in command.options:
        action = {
            "word": f"({' '.join(option.choices)})",
            "file": "_files",
            "folder": "_files -/",
        }.get(behind(option), " ")
        if option.positional:
            # With a mere message for it, zsh would insert no flag in its place.
            words = f"({' '.join(option.choices)})"
            yield _quoted(f"{_repeated(option)}:{_escaped(option.metavar or option.name)}:{words}")
            continue
        for number, flag in enumerate(option.flags):
            text = _escaped(option.help if number == 0 else "the opposite")
            value = "" if option.flag else f":{_escaped(option.metavar or option.name)}:{action}"
            yield _quoted(f"{_repeated(option)}{flag}[{text}]{value}")


def _repeated(option: Option[Any]) -> str:
    return "*" if option.several else ""


def _escaped(text: str) -> str:
    for special in ("\\", "[", "]", ":"):
        text = text.replace(special, f"\\{special}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
