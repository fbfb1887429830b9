"""The errors of this distribution.

GestaltError
└── CodecError (ValueError)              also raised as it is: an argument makes no sense
    ├── UnknownCodec (LookupError)       no serializer or compressor has that name
    ├── CodecNotInstalled (LookupError)  it has, and its library is missing
    ├── SchemaError                      a type or a schema cannot be registered
    ├── EncodeError                      all that encode raises
    │   └── UnregisteredType (LookupError)
    └── DecodeError                      all that decode raises
        ├── ContentNotAllowed            declared in a format or a coding that is not allowed here
        ├── UnknownType (LookupError)    no registered type has that id or name
        ├── ValidationError              well-formed, and not what the type says
        ├── Truncated                    the end is missing
        ├── TrailingData                 something follows the end
        ├── TooLarge                     more bytes than allowed, before or after decompression
        ├── TooDeep                      nested deeper than allowed
        └── DecompressError              the compressed data is damaged

What a library raised is chained as the cause.
"""

import reprlib
from typing import Any, Final

from gestalt.core import GestaltError

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


_LONGEST_REASON: Final = 300


def short(value: Any) -> str:
    """Give the representation of a value, cut to a length that fits into an error's sentence.

    Whatever the value does when it is asked for it, this raises nothing.
    """
    try:
        if type(value) is bytes:
            return f"{value[:24]!r}... ({len(value)} bytes)" if len(value) > 24 else repr(value)
        return _printable(_SHORT.repr(value))
    except Exception:
        # Its own repr fails, or is that of an integer which Python does not print.
        return object.__repr__(value)


def reason_of(error: BaseException) -> str:
    """Give what an error says, or else its class: printable, and cut to a length that fits into
    another error's sentence."""
    try:
        reason = _printable(str(error))
    except Exception:
        reason = ""
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]}..."
    return reason or type(error).__name__


def class_name(cls: type) -> str:
    """Give the name of a class, past whatever its metaclass makes of names."""
    return type.__dict__["__name__"].__get__(cls)  # type: ignore[no-any-return]


def _printable(text: str) -> str:
    # Logs and terminals are written in UTF-8, which has no form of lone surrogates.
    return text.encode(errors="backslashreplace").decode()


class CodecError(GestaltError, ValueError):
    """The root of the family."""


class UnknownCodec(CodecError, LookupError):
    """No serializer or compressor has that name, MIME type or content-coding token."""


class CodecNotInstalled(CodecError, LookupError):
    """The library of a serializer or compressor is not installed."""


class SchemaError(CodecError):
    """A message type, or its schema, cannot be registered or used."""


class EncodeError(CodecError):
    """A value cannot be encoded."""


class UnregisteredType(EncodeError, LookupError):
    """The class of a value is not among the message types."""


class DecodeError(CodecError):
    """Data cannot be decoded."""


class ContentNotAllowed(DecodeError):
    """Data is declared in a format or a content coding that this codec does not allow."""


class UnknownType(DecodeError, LookupError):
    """Data is declared as of a type that is not among the message types."""


class ValidationError(DecodeError):
    """Data is well-formed and does not fit its type.

    Attributes:
        path: where in the data, as in `$.track[3].lat`; `$` is the whole.
    """

    def __init__(self, message: str, path: str = "$") -> None:
        super().__init__(message)
        self.path = path


class Truncated(DecodeError):
    """The end of the data is missing."""


class TrailingData(DecodeError):
    """Something follows the end of the data."""


class TooLarge(DecodeError):
    """The data is larger than allowed, or needs more memory than allowed."""


class TooDeep(DecodeError):
    """The data is nested deeper than allowed."""


class DecompressError(DecodeError):
    """Compressed data is damaged."""
