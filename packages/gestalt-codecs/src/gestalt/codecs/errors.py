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

No error shows what a value or a body holds, which may be secret. What a library raised is chained
as the cause, unless it quotes values.
"""

from gestalt.core import GestaltError


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
