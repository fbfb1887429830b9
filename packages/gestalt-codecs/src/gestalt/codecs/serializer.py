"""What every serializer is: the interface between a format and the rest."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from .errors import CodecError, DecodeError, SchemaError, TooDeep, TooLarge
from .reasons import reason_of
from .showing import given, size_of
from .types import MessageType

Dumps = Callable[[Any], bytes]
Loads = Callable[[bytes], Any]
LoadsOf = Callable[[Any], Loads]
"""Finds what reads the values of the type that the tag of a body names, or raises DecodeError."""

ABSENT: Final = object()
"""What stands for a tag that is not there."""


class Functions(NamedTuple):
    """The pair of functions that a serializer makes for one kind of value."""

    dumps: Dumps
    loads: Loads


class Quick(NamedTuple):
    """What reads and writes many values with nothing between the calls of the library.

    Where one of them raises, or a body is too long for it, the Functions are asked one by one.

    Attributes:
        loads_all: comes to the same as `loads` of the Functions for each body of up to `most`
            bytes, too short to exceed a limit.
        most: in bytes.
        dumps_all: comes to the same as `dumps` for each; None where nothing is faster.
    """

    loads_all: Callable[[Sequence[bytes]], list[Any]]
    most: int
    dumps_all: Callable[[Sequence[Any]], list[bytes]] | None = None


class Serializer:
    """A format: how values become bytes and back.

    A subclass gives `untyped`, `typed` or both. They are called once, when a codec is made or meets
    a type for the first time, so that what they return has nothing left to look up. The functions
    may raise
    anything: the codec wraps it by `explain`.

    Args:
        name: what the registry, or the entry point, calls it.
        max_depth: how deep decoded data may be nested.
        max_values: how many values and keys data may hold.
    """

    content_types: ClassVar[tuple[str, ...]] = ()
    """MIME types in lower case: the first is written, all are read. A class that an entry point
    brings says them here; those of the built-in ones stand in the registry, where finding one
    imports nothing."""
    textual: ClassVar[bool] = False
    """Whether the format is text in UTF-8, so that another declared charset can be converted."""

    def __init__(self, *, name: str, max_depth: int, max_values: int) -> None:
        self.name = name
        self.max_depth = max_depth
        self.max_values = max_values

    def untyped(self) -> Functions:
        """Give the functions for plain Python values.

        Raises:
            SchemaError: the format needs types.
        """
        raise SchemaError(f"{self.name} needs to know its types: pass types=MessageTypes(...)")

    def typed(self, kind: MessageType) -> Functions:
        """Give the functions for the values of one message type.

        Raises:
            SchemaError: the format cannot carry such values.
        """
        raise SchemaError(f"{self.name} cannot carry {kind.name}, which is {given(kind.type)}")

    def quick(self, kind: MessageType | None) -> Quick | None:  # noqa: ARG002 - for those that can
        """Give what reads and writes many short values; None where nothing is faster.

        Args:
            kind: the message type, of a registry without a tag; None for plain values.
        """
        return None

    def functions(self, kind: MessageType) -> Functions:
        """Give what `typed` gives, for the codec to call.

        Raises:
            SchemaError: the format cannot carry such values, whatever was raised about it.
        """
        try:
            return self.typed(kind)
        except CodecError:
            raise
        except Exception as error:
            raise SchemaError(
                f"{self.name} cannot carry {kind.name}, which is {given(kind.type)}: "
                f"{reason_of(error)}"
            ) from error

    def tagged(self, tag: str, loads_of: LoadsOf) -> Loads:  # noqa: ARG002 - for those that can
        """Give the function that reads bodies whose types have a tag.

        It looks for the tag, and hands its value, or ABSENT, to `loads_of`; what that gives are the
        `loads` of a type with a tag, and they may take the body in whatever form it has by then.

        A format that has such a function also puts the tag into what `dumps` of a type makes, where
        `kind.tag` is not None, unless the values bring their own (`kind.writes_tag`).

        Raises:
            SchemaError: the format has no place for tags.
        """
        raise SchemaError(
            f"{self.name} has no place for the tag {given(tag)}: json, msgpack and yaml have"
        )

    def check_values(self, body: bytes) -> None:
        """See that what was encoded holds no more than `max_values`; the codec asks for bodies of
        more bytes than that.

        Raises:
            TooLarge: it holds more, and would not be decoded.
        """

    def explain(self, error: Exception, data: bytes) -> DecodeError:
        """Turn what `loads` raised into an error of the family; the caller chains the cause."""
        if isinstance(error, RecursionError):
            return TooDeep(f"{self.name}: nested too deep: {size_of(data)}")
        if isinstance(error, MemoryError):
            return TooLarge(f"{self.name}: needs more memory than there is: {size_of(data)}")
        return DecodeError(f"{self.name}: cannot decode {size_of(data)}: {reason_of(error)}")
