"""Where in a value that cannot be encoded the part is that cannot be."""

import dataclasses
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from .classes import is_model
from .showing import step_of

_MOST: Final = 1000
"""How many values are looked at: it takes up to a millisecond."""


def locate(value: Any, dumps: Callable[[Any], bytes]) -> tuple[str, Any] | None:
    """Find the first part of a value that cannot be encoded by itself.

    Of what classes of the application do, it calls no more than encoding does.

    Args:
        dumps: encodes plain values.

    Returns:
        The path, as in `$.user.tokens[3]`, and the part; None where none was found among the first
        values.
    """
    try:
        return _search(value, dumps)
    except Exception:  # pragma: no cover - classes that change between two looks
        return None  # what its classes raise, and how the value is made, is not ours


def _search(value: Any, dumps: Callable[[Any], bytes]) -> tuple[str, Any] | None:
    ways = [iter([("$", value)])]
    left = _MOST
    while ways and left:
        path, part = next(ways[-1], (None, None))
        if path is None:
            ways.pop()
            continue
        left -= 1
        inner = _parts(path, part)
        if inner is not None:
            ways.append(inner)
        elif not _is_carried(part, dumps):
            return path, part
        if type(part) is dict and not _is_carried(dict.fromkeys(islice(part, left)), dumps):
            return f"a key of {path}", part
    return None


def _is_carried(value: Any, dumps: Callable[[Any], bytes]) -> bool:
    try:
        dumps(value)
    except Exception:
        return False
    return True


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]] | None:
    """Give the parts of a container, each with its path; None of other values."""
    cls = type(value)
    if cls is dict:
        return ((path + step_of(key), each) for key, each in value.items())
    if cls in (list, tuple):
        return ((f"{path}[{number}]", each) for number, each in enumerate(value))
    if cls in (set, frozenset):
        return ((f"{path}[...]", each) for each in value)
    names = _fields(cls)
    if names is None:
        return None
    return ((f"{path}.{name}", getattr(value, name, None)) for name in names)


def _fields(cls: Any) -> list[str] | None:
    if is_model(cls):
        return list(cls.__pydantic_fields__)
    if hasattr(cls, "__struct_fields__"):
        return list(cls.__struct_fields__)
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    attributes = getattr(cls, "__attrs_attrs__", None)
    return None if attributes is None else [attribute.name for attribute in attributes]
