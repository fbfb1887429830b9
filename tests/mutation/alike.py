"""Changes that make no difference, or one that no test is to hold; alike.toml says why."""

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Alike(NamedTuple):
    """A change that need not be noticed."""

    was: str
    """The line, or lines, without their indentation."""
    becomes: str
    """What stands there instead, or "*" for anything."""
    why: str


@cache
def alike() -> dict[str, list[Alike]]:
    """All of them, by the file below src/gestalt."""
    text = Path(__file__).with_name("alike.toml").read_text()
    return {file: [Alike(**each) for each in all_] for file, all_ in tomllib.loads(text).items()}


def is_alike(file: str, was: str, becomes: str) -> bool:
    """Whether a change of a file is one of them."""
    return any(each.was == was and each.becomes in ("*", becomes) for each in alike().get(file, []))
