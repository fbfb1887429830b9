"""What errors show of values and data: types, sizes and names, never what they hold."""

import re
from typing import Any, Final

from gestalt.core.numbers import choice_of, kind_of

_WORDS: Final = re.compile(r"[A-Za-z_][\w.:/+-]{0,59}", re.ASCII)
_MOST_DIGITS: Final = 4


def given(value: Any) -> str:
    """Give an argument that is a name, a number or a class; of anything else, its type."""
    return class_name(value) if isinstance(value, type) else choice_of(value)


def readable(name: Any) -> str:
    """Give a name that stood in data, where it reads like one: a key may be a secret, too."""
    if not isinstance(name, str):
        return kind_of(name)
    if not name or (_WORDS.fullmatch(name) and sum(map(str.isdigit, name)) <= _MOST_DIGITS):
        return f"'{name}'"
    return f"of {len(name)} characters"


def class_name(cls: type) -> str:
    """Give the name of a class, past whatever its metaclass makes of names."""
    return type.__dict__["__name__"].__get__(cls)  # type: ignore[no-any-return]


def step_of(key: Any) -> str:
    """Give the step of a path into an object by a key; `[...]` where it reads like no name."""
    shown = readable(key)
    return f".{shown[1:-1]}" if shown[0] == "'" and "." not in shown else "[...]"


def size_of(data: Any) -> str:
    """Say how long data is."""
    return f"data of {len(data)} bytes"


def printable(text: str) -> str:
    """Give a text with what no log takes as escapes: lone surrogates have no form in UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
