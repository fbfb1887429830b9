"""What every serializer is: the interface between a format and the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from .errors import DecodeError, SchemaError, TooDeep, TooLarge, short

if TYPE_CHECKING:
    from .types import MessageType

Dumps = Callable[[Any], bytes]
Loads = Callable[[bytes], Any]


class Functions(NamedTuple):
    """The pair of functions that a serializer makes for one kind of value."""

    dumps: Dumps
    loads: Loads


class Serializer:
    """A format: how values become bytes and back.

    A subclass gives `untyped`, `typed` or both. They are called once, when a codec is made or meets
    a type for the first time, so that what they return has nothing left to look up. The functions
    may raise
    anything: the codec wraps it by `explain`.

    Args:
        name: What the registry, or the entry point, calls it.
        max_depth: How deep decoded data may be nested.
    """

    content_types: ClassVar[tuple[str, ...]] = ()
    """MIME types in lower case: the first is written, all are read. A class that an entry point
    brings says them here; those of the built-in ones stand in the registry, where finding one
    imports nothing."""
    textual: ClassVar[bool] = False
    """Whether the format is text in UTF-8, so that another declared charset can be converted."""

    def __init__(self, *, name: str, max_depth: int) -> None:
        self.name = name
        self.max_depth = max_depth

    def untyped(self) -> Functions:
        """Give the functions for plain Python values.

        Raises:
            SchemaError: The format needs types.
        """
        raise SchemaError(f"{self.name} needs to know its types: pass types=MessageTypes(...)")

    def typed(self, kind: MessageType) -> Functions:
        """Give the functions for the values of one message type.

        Raises:
            SchemaError: The format cannot carry such values.
        """
        raise SchemaError(f"{self.name} cannot carry {kind.name}, which is {short(kind.type)}")

    def explain(self, error: Exception, data: bytes) -> DecodeError:
        """Turn what `loads` raised into an error of the family; the caller chains the cause."""
        if isinstance(error, RecursionError):
            return TooDeep(f"{self.name}: nested too deep: {short(data)}")
        if isinstance(error, MemoryError):
            return TooLarge(f"{self.name}: needs more memory than there is: {short(data)}")
        reason = str(error) or type(error).__name__
        return DecodeError(f"{self.name}: cannot decode {short(data)}: {reason}")
