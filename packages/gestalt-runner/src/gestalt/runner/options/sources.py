"""Where options come from besides the command line: pyproject.toml and the environment."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gestalt.runner.errors import OptionError

from .near import near
from .option import Option


def find_project(start: Path) -> Path | None:
    """The pyproject.toml of a folder, or of the nearest one above it."""
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            return path
    return None


def read_project(path: Path, options: Iterable[Option[Any]]) -> dict[str, list[str]]:
    """The texts that `[tool.gestalt]` has for the options.

    Raises:
        OptionError: it cannot be read, has a key that is no option, or a value of the wrong type.
    """
    # Here, since most of what is run has no such file.
    import tomllib

    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"{path} cannot be read: {error}") from error
    table = table.get("tool", {}).get("gestalt", {}) if isinstance(table.get("tool"), dict) else {}
    if not isinstance(table, dict):
        raise OptionError(f"{path}: [tool.gestalt] must be a table")
    known = {option.name: option for option in options}
    found = {}
    for key, value in table.items():
        if key not in known:
            raise OptionError(f"{path}: [tool.gestalt] has no option {key!r}{near(key, known)}")
        where = in_project(path, known[key])
        values = value if isinstance(value, list) else [value]
        if isinstance(value, list) and not known[key].several:
            raise OptionError(f"{where} must be one value, not a list")
        found[key] = [_text(where, each) for each in values]
    return found


def in_project(path: Path, option: Option[Any]) -> str:
    """How messages name an option of pyproject.toml."""
    return f"{path}: [tool.gestalt] {option.name}"


# What the command itself tells its workers.
_TOLD = {"GESTALT_WORKER"}


def misspelt(environment: Mapping[str, str], options: Iterable[Option[Any]]) -> list[str]:
    """A sentence for each environment variable that is nearly one of an option.

    Those that are like none may be the application's own.
    """
    known = {option.variable for option in options} | _TOLD
    unknown = [name for name in environment if name.startswith("GESTALT_") and name not in known]
    return [
        f"the environment variable {name} stands for no option{meant}"
        for name in sorted(unknown)
        if (meant := near(name, known))
    ]


def _text(where: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise OptionError(f"{where} must be a text, a number, true or false")
