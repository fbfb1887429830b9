"""From what was said in several places to the values: the command line, environment, project."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gestalt.core.masking import masked
from gestalt.runner.errors import OptionError

from .option import Given, Option, Settings
from .sources import find_project, in_project, read_project

T = TypeVar("T")


class Sources:
    """Where a command's options are said; the command line wins over the environment, and that
    over pyproject.toml.

    Args:
        options: the options of the command.
        given: what the command line says.
        folder: the working directory, from which pyproject.toml is looked for upwards.
        project: whether pyproject.toml is read at all.
    """

    def __init__(
        self, options: Sequence[Option[Any]], given: Given, folder: Path, *, project: bool = True
    ) -> None:
        self._options = options
        self._given = given
        self._folder = folder
        self._with_project = project

    def read(self, environment: Mapping[str, str]) -> Settings:
        """The values as they are said now.

        Raises:
            OptionError: one is wrong; the message names where it was said.
        """
        return self._read(self._options, environment)

    def read_one(self, option: Option[T], environment: Mapping[str, str]) -> T:
        """The value of one option alone, as it is said now; raises as `read` does."""
        return self._read([option], environment)[option]

    def _read(self, options: Sequence[Option[Any]], environment: Mapping[str, str]) -> Settings:
        path = find_project(self._folder) if self._with_project else None
        project = read_project(path, self._options) if path is not None else {}
        values: dict[str, object] = {}
        origins: dict[str, str] = {}
        for option in options:
            said = self._said(option, environment)
            if said is None and path is not None and option.name in project:
                said = in_project(path, option), project[option.name], path.parent
            if said is None:
                values[option.name] = option.default
                continue
            origin, texts, folder = said
            values[option.name] = _value(option, origin, texts, folder)
            origins[option.name] = origin
        return Settings(values, origins)

    def _said(
        self, option: Option[Any], environment: Mapping[str, str]
    ) -> tuple[str, Sequence[str], Path] | None:
        """Where an option is said outside pyproject.toml, the texts, and whence paths begin."""
        if option.name in self._given:
            shown = option.metavar or option.name.upper()
            origin = f"argument {shown if option.positional else f'--{option.name}'}"
            return origin, self._given[option.name], self._folder
        # An empty variable is how a shell, or a manifest, says that there is none.
        if text := environment.get(option.variable):
            texts = text.split(",") if option.several else [text]
            return f"environment variable {option.variable}", texts, self._folder
        return None


def _value(option: Option[Any], origin: str, texts: Sequence[str], folder: Path) -> object:
    values = [_one(option, origin, text, folder) for text in texts]
    return tuple(values) if option.several else values[-1]


def _one(option: Option[Any], origin: str, text: str, folder: Path) -> object:
    text = text.strip()
    if option.choices and text not in option.choices:
        raise OptionError(
            f"{origin}: must be one of {', '.join(option.choices)}, got {masked(text)}"
        )
    if option.path:
        text = str(folder / Path(text).expanduser())
    try:
        return option.parse(text)
    except ValueError as error:
        raise OptionError(f"{origin}: {error}") from error
