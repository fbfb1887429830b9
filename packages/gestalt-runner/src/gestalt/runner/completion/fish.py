"""Completion for fish, from version 3 on."""

from collections.abc import Iterator, Sequence

from .command import Command, behind

HEAD = "# Completion of gestalt for fish: gestalt completion fish | source"
NO_COMMAND = "complete -c gestalt -n __fish_use_subcommand"

VALUES = {
    "nothing": "",
    "file": " -r -F",
    "folder": " -x -a '(__fish_complete_directories)'",
    "text": " -x",
}


def script(commands: Sequence[Command]) -> str:
    """What fish is to read."""
    lines = [HEAD, "complete -c gestalt -f", f"{NO_COMMAND} -l help", f"{NO_COMMAND} -l version"]
    for command in commands:
        lines.append(f"{NO_COMMAND} -a {command.name} -d {_quoted(command.help)}")
        lines.extend(_options(command))
    return "\n".join(lines) + "\n"


def _options(command: Command) -> Iterator[str]:
    begin = f"complete -c gestalt -n '__fish_seen_subcommand_from {command.name}'"
    yield f"{begin} -l help -d 'show the help'"
    if command.words:
        yield f"{begin} -a '{' '.join(command.words)}'"
    for option in command.options:
        kind = behind(option)
        value = f" -x -a '{' '.join(option.choices)}'" if kind == "word" else VALUES.get(kind)
        for number, flag in enumerate(option.flags):
            text = option.help if number == 0 else "the opposite"
            yield f"{begin} -l {flag.removeprefix('--')}{value} -d {_quoted(text)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
