"""The settings of a command that looks at something, from its command line and the environment."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gestalt.runner.errors import OptionError

from .arguments import given, parser_of
from .option import Option, Settings
from .resolving import Sources


def settings_of(
    command: str,
    options: Sequence[Option[Any]],
    arguments: Sequence[str],
    *,
    description: str,
    epilog: str = "",
) -> Settings:
    """Read the options of a command; pyproject.toml has those of `run` alone.

    Raises:
        SystemExit: 0 after `--help`; 2 when an option is wrong, after a sentence that says so.
    """
    parser = parser_of(command, options, description=description, epilog=epilog)
    said = given(parser, arguments)
    try:
        return Sources(options, said, Path.cwd(), project=False).read(os.environ)
    except OptionError as error:
        parser.error(str(error))
