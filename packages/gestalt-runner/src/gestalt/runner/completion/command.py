"""A command as a shell is to know it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gestalt.runner.options.option import Option


@dataclass(frozen=True, slots=True)
class Command:
    """A command, what it does, and its options."""

    name: str
    help: str
    options: Sequence[Option[Any]]

    @property
    def flags(self) -> list[str]:
        """All that may stand there with dashes in front."""
        return [*(flag for option in self.options for flag in option.flags), "--help"]

    @property
    def words(self) -> list[str]:
        """What may stand there without, as far as it is known."""
        return [word for option in self.options if option.positional for word in option.choices]


def behind(option: Option[Any]) -> Literal["nothing", "word", "file", "folder", "text"]:
    """What stands behind the name of an option."""
    if option.flag:
        return "nothing"
    if option.choices:
        return "word"
    if option.path:
        return "folder" if option.metavar == "FOLDER" else "file"
    return "text"
