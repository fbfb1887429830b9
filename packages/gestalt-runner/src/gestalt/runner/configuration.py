"""What `gestalt run` was told, and is told anew at a reload."""

import os
from collections.abc import Iterable
from pathlib import Path

from .errors import OptionError
from .options.option import Settings
from .options.resolving import Sources
from .options.table import ENV_FILE


class Configuration:
    """The settings of a run, with the environment files that they name.

    Args:
        sources: where the options are said. The environment is the one at this time.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._environment = dict(os.environ)
        # What the files add to the environment, as they were read last.
        self._added: dict[str, str] = {}

    def read(self) -> Settings:
        """The settings as they are said now. The environment of the process stays as it is.

        Raises:
            OptionError: something is wrong; the message names where it was said.
        """
        files = self._sources.read_one(ENV_FILE, self._environment)
        self._added = _read_files(files) if files else {}
        return self._sources.read(self._added | self._environment)

    def export(self) -> None:
        """Put what the files say into the environment, where that does not say it already."""
        for name, value in self._added.items():
            if name not in self._environment:
                os.environ[name] = value


def _read_files(files: Iterable[str]) -> dict[str, str]:
    try:
        import dotenv
        from dotenv.parser import parse_stream
    except ImportError as error:
        raise OptionError(
            "python-dotenv, which reads environment files, is not installed: "
            "pip install 'gestalt-runner[dotenv]'"
        ) from error
    found: dict[str, str] = {}
    for file in files:
        try:
            with Path(file).open(encoding="utf-8") as stream:
                wrong = [line.original.line for line in parse_stream(stream) if line.error]
            values = dotenv.dotenv_values(file)
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"the environment file {file} cannot be read: {error}") from error
        if wrong:
            raise OptionError(f"the environment file {file} is wrong at line {wrong[0]}")
        found = {name: value for name, value in values.items() if value is not None} | found
    return found
