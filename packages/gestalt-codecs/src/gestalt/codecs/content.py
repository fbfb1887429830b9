"""What a message declares of itself: its MIME type, charset and content coding, as others write
them."""

from typing import Final, NamedTuple

from .errors import CodecError, ContentNotAllowed, DecodeError
from .registry import COMPRESSORS, essence
from .showing import given, size_of

# Python would import a module, or run a transform, for many other names that a peer might send.
_CHARSETS: Final = {
    "utf-8": None,
    "utf8": None,
    "us-ascii": None,
    "ascii": None,
    "iso-8859-1": "latin-1",
    "latin-1": "latin-1",
    "latin1": "latin-1",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
_BUILT_IN: Final = {alias: entry.name for entry in COMPRESSORS for alias in entry.aliases}


class Declared(NamedTuple):
    """A parsed content type; the charset is None for UTF-8."""

    essence: str
    charset: str | None


class Coding(NamedTuple):
    """A parsed content encoding: the compressor's name or None, and the charset that kombu puts
    there."""

    name: str | None
    charset: str | None


def accepted_type(name: object) -> str:
    """Give a MIME type that is to be accepted, or the end of several, as it is compared.

    Raises:
        CodecError: it is neither.
    """
    found = essence(name) if isinstance(name, str) else ""
    if (found[:1] != "+" and "/" not in found) or len(found) < 2:
        raise CodecError(
            f"accept_types has MIME types, such as text/plain, or ends of them, such as +json, "
            f"not {given(name)}"
        )
    return found


def parse_type(content_type: str) -> Declared:
    """Parse a MIME type.

    Raises:
        ContentNotAllowed: its charset is not among those that are known.
    """
    charset = None
    if ";" in content_type:
        for parameter in content_type.split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                key = value.strip().strip('"').lower()
                if key not in _CHARSETS:
                    raise ContentNotAllowed(f"the charset {given(key)} is not one that is read")
                charset = _CHARSETS[key]
    return Declared(essence(content_type), charset)


def parse_coding(content_encoding: str) -> Coding:
    """Parse a content coding, or a charset; unknown tokens are taken for compressors."""
    token = content_encoding.strip().lower()
    if token in _CHARSETS:
        return Coding(None, _CHARSETS[token])
    if token in ("identity", "binary", "none"):
        return Coding(None, None)
    return Coding(_BUILT_IN.get(token, token), None)


def to_utf8(data: bytes, charset: str) -> bytes:
    """Convert text to UTF-8.

    Raises:
        DecodeError: it is not text in that charset.
    """
    try:
        return data.decode(charset).encode()
    except UnicodeError as error:
        raise DecodeError(f"{size_of(data)} are not {charset}: {error}") from error
