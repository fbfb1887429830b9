"""`gestalt completion`: what makes a shell complete the options of the commands."""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gestalt.runner.completion import bash, fish, zsh
from gestalt.runner.completion.command import Command
from gestalt.runner.options.command_line import settings_of
from gestalt.runner.options.option import Option
from gestalt.runner.output import show

from . import COMMANDS

SCRIPTS = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}

SHELL: Option[str] = Option(
    name="for",
    help="the shell",
    default="",
    choices=tuple(SCRIPTS),
    metavar="SHELL",
    positional=True,
    shown="that of the environment variable SHELL",
)
OPTIONS: tuple[Option[Any], ...] = (SHELL,)

DESCRIPTION = "Print what makes a shell complete the commands of gestalt and their options."

EPILOG = """\
for this session, or in the file that the shell reads when it starts:
  bash:  eval "$(gestalt completion bash)"
  zsh:   eval "$(gestalt completion zsh)"      after compinit
  fish:  gestalt completion fish | source
"""


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        SystemExit: 2 when the shell is none that is known.
    """
    settings = settings_of("completion", OPTIONS, arguments, description=DESCRIPTION, epilog=EPILOG)
    shell = settings[SHELL] or Path(os.environ.get("SHELL", "")).name
    if shell not in SCRIPTS:
        raise SystemExit(f"gestalt completion: name a shell: {', '.join(SCRIPTS)}")
    show(SCRIPTS[shell]([_command(name) for name in COMMANDS]))


def _command(name: str) -> Command:
    module = importlib.import_module(f"gestalt.runner.commands.{name}")
    return Command(name, COMMANDS[name], module.OPTIONS)
