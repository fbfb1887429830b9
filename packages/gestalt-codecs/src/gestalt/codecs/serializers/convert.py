"""What the formats with plain values share: rich values become plain ones and back, by msgspec, or
by pydantic where a class is one of its models."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from gestalt.codecs.classes import is_model
from gestalt.codecs.errors import EncodeError, ValidationError
from gestalt.codecs.reasons import reason_of
from gestalt.codecs.serializer import ABSENT, Loads, LoadsOf
from gestalt.codecs.showing import size_of
from gestalt.codecs.types import MessageType
from gestalt.core.numbers import kind_of

from . import models
from .collisions import Check, checker, holds_models

_PATH: Final = re.compile(r" - at `(\$[^`]*)`$")
SMALL: Final = 4096
"""Data of fewer bytes holds too few keys for collisions between them to be felt."""


def to_plain(value: Any, natives: tuple[type, ...] = (bytes,)) -> Any:
    """Turn a value into what JSON has, and values of the native classes.

    Raises:
        TypeError: it holds what has no plain form.
    """
    try:
        return msgspec.to_builtins(value, builtin_types=natives)
    except TypeError:
        # It may hold what only pydantic knows. Without a hook for that it is faster.
        return msgspec.to_builtins(value, builtin_types=natives, enc_hook=models.to_plain(natives))


def plain_of(kind: MessageType) -> Callable[[Any], Any]:
    """Make the function that turns a message type's values into plain ones, with their tag."""
    tag, name = kind.tag, kind.name
    if tag is None:
        return to_plain

    def tagged(value: Any) -> Any:
        plain = to_plain(value)
        if type(plain) is not dict:
            raise EncodeError(f"{kind_of(value)} is no object, which a tag could be put into")
        return {tag: name, **plain}

    return tagged


def from_plain(name: str, cls: Any) -> Callable[[Any, bytes], Any]:
    """Make the function that turns a plain value into one of a class, given the data it came in.

    Args:
        name: what the format is called in errors.
        cls: the class, or another type that msgspec decodes.
    """
    make, check = _maker(name, cls), _check(name, cls)

    def guarded(value: Any, data: bytes) -> Any:
        if check is not None and len(data) > SMALL:
            check(value)
        return make(value)

    return guarded


def typed_loads(name: str, kind: MessageType, loads: Loads) -> Loads:
    """Make the function that reads a message type's values, given that which reads plain ones.

    Those of a type with a tag it takes from `read_tagged`, with the data they came in.
    """
    cls = kind.type
    if not is_model(cls):
        msgspec.msgpack.Decoder(cls)  # raises what converting to the class would raise each time
    if kind.tag is not None:
        convert = from_plain(name, cls)
        return lambda read: convert(*read)
    if is_simple(name, cls):
        # The usual case, and the fast one.
        return lambda data: msgspec.convert(loads(data), cls)
    convert = from_plain(name, cls)
    return lambda data: convert(loads(data), data)


def is_simple(name: str, cls: Any) -> bool:
    """Whether values of a class need no look at their keys, and no model within."""
    return _check(name, cls) is None and not is_model(cls) and not holds_models(cls)


def read_tagged(loads: Loads, tag: str, loads_of: LoadsOf) -> Loads:
    """Make the function that finds the tag in plain values."""

    def read(data: bytes) -> Any:
        value = loads(data)
        name = value.pop(tag, ABSENT) if type(value) is dict else ABSENT
        return loads_of(name)((value, data))  # type: ignore[arg-type]

    return read


def _maker(name: str, cls: Any) -> Callable[[Any], Any]:
    if is_model(cls):
        return models.validator(name, cls)
    return partial(msgspec.convert, type=cls, dec_hook=models.from_plain)


def _check(name: str, cls: Any) -> Check | None:
    return checker(cls, integers=name == "yaml" or is_model(cls))


def validation_error(name: str, error: msgspec.ValidationError, data: bytes) -> ValidationError:
    """Turn msgspec's error into ours, with the path of the field."""
    if isinstance(error.__cause__, ValidationError):
        return error.__cause__  # of a model within, which knows its path
    reason = reason_of(error)
    found = _PATH.search(reason)
    path = found[1] if found else "$"
    if found:
        reason = reason[: found.start()]
    return ValidationError(f"{name}: {reason}, at {path} in {size_of(data)}", path)
