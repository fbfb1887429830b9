"""One option of a command: what it is called, what it may be, and what it is by default."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Given = Mapping[str, Sequence[str]]
"""The texts that were given, on the command line or elsewhere, by the name of the option."""


class Option(NamedTuple, Generic[T_co]):
    """An option, which may come from the command line, the environment or pyproject.toml.

    Attributes:
        name: as the command line has it, without dashes in front. The environment variable and the
            key in pyproject.toml are made from it: "log-level", GESTALT_LOG_LEVEL, log-level.
        help: a sentence without capital and full stop.
        default: what it is when nobody says otherwise; of one that is `several`, a tuple.
        parse: makes the value of a text, and raises ValueError with what it must be.
        metavar: what stands for the value in the help; the name in capitals by default.
        choices: the texts that it may be; all that `parse` takes when there are none.
        flag: it is true or false: `--name` and `--no-name`.
        several: it may be given more than once; a text splits at commas, but on the command line.
        path: a text is the path of a file or a folder, relative to where it is written: to the
            working directory, or to the folder of pyproject.toml.
        positional: on the command line it has no name.
        shown: what the help tells instead of `default`.
    """

    name: str
    help: str
    default: T_co
    parse: Callable[[str], Any] = str
    metavar: str = ""
    choices: Sequence[str] = ()
    flag: bool = False
    several: bool = False
    path: bool = False
    positional: bool = False
    shown: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that it is read from."""
        return f"GESTALT_{self.name.upper().replace('-', '_')}"

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is written on the command line."""
        if self.positional:
            return ()
        return (f"--{self.name}", f"--no-{self.name}") if self.flag else (f"--{self.name}",)


class Settings:
    """What the options are, and where that was said."""

    def __init__(self, values: Mapping[str, object], origins: Mapping[str, str]) -> None:
        self._values = values
        self._origins = origins

    def __getitem__(self, option: Option[T]) -> T:
        value: Any = self._values[option.name]
        return value  # type: ignore[no-any-return]

    def origin(self, option: Option[Any]) -> str:
        """Where the value was said, as messages name it; empty for a default."""
        return self._origins.get(option.name, "")
