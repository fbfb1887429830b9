"""What is told of a value that a format has refused."""

from typing import Final

from gestalt.core.numbers import kind_of

from .errors import CodecError, EncodeError
from .locating import locate
from .reasons import reason_of
from .serializer import Serializer

_LONGEST_PATH: Final = 200


def encode_error(serializer: Serializer, value: object, error: Exception) -> EncodeError:
    """Make the error, which names the type of the value, and of the part of it that is at fault."""
    name, what = serializer.name, kind_of(value)
    if isinstance(error, RecursionError):
        return EncodeError(f"{name}: {what} is nested too deep, or contains itself")
    try:
        found = locate(value, serializer.untyped().dumps)
    except CodecError:
        found = None  # the format has no values without a type
    if found and found[0] != "$":
        what = f"{kind_of(found[1])} at {found[0][:_LONGEST_PATH]} of {what}"
    return EncodeError(f"{name}: cannot encode {what}: {reason_of(error)}")
