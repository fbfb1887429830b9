"""The serializers and compressors there are, each on one line, and how a name finds its own.

Looking a name up imports nothing; loading what was found imports its file, and thereby its library. Third
parties add theirs by the entry points `gestalt.codecs.serializers` and `gestalt.codecs.compressors`, whose
name is the codec's and whose object is a subclass of Serializer or Compressor.
"""

# ruff: noqa: E501 - one line for each codec, however long
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from . import loading
from .compressor import Compressor
from .errors import CodecError, CodecNotInstalled, UnknownCodec
from .serializer import Serializer
from .showing import given


class SerializerEntry(NamedTuple):
    """One line of the serializers: the first content type is written, all are read."""

    name: str
    load: Callable[[], type[Serializer]]
    extra: str | None
    content_types: tuple[str, ...]

    def make(self, max_depth: int, max_values: int) -> Serializer:
        """Make a serializer; the first time imports its library."""
        cls = _installed(self, self.load)
        return cls(name=self.name, max_depth=max_depth, max_values=max_values)


class CompressorEntry(NamedTuple):
    """One line of the compressors: the name is the token that is written, the aliases are read, too.

    The tag is the byte that stands for the coding on sockets; it is fixed for ever.
    """

    name: str
    tag: int | None
    load: Callable[[], type[Compressor]]
    extra: str | None
    aliases: tuple[str, ...] = ()

    def make(self, level: int | None) -> Compressor:
        """Make a compressor; the first time imports its library."""
        return _installed(self, self.load)(name=self.name, level=level)


# Aliases beyond the usual ones are what kombu and gestalt 20.1.1 write, misspelt as they are.
SERIALIZERS: Final = (
    SerializerEntry("bytes", loading.bytes, None, ("application/octet-stream", "application/data")),
    SerializerEntry("text", loading.text, None, ("text/plain",)),
    SerializerEntry("json", loading.json, None, ("application/json", "text/json")),
    SerializerEntry("msgpack", loading.msgpack, "msgpack", ("application/msgpack", "application/vnd.msgpack", "application/x-msgpack")),
    SerializerEntry("yaml", loading.yaml, "yaml", ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")),
    SerializerEntry("avro", loading.avro, "avro", ("avro/binary", "application/avro", "application/x-avro")),
    SerializerEntry("protobuf", loading.protobuf, "protobuf", ("application/protobuf", "application/x-protobuf", "application/vnd.google.protobuf")),
)  # fmt: skip
COMPRESSORS: Final = (
    CompressorEntry("deflate", 1, loading.deflate, None, ("zlib", "application/zlib")),
    CompressorEntry("raw-deflate", 2, loading.raw_deflate, None, ("application/deflate",)),
    CompressorEntry("gzip", 3, loading.gzip, None, ("x-gzip", "application/gzip", "application/x-gzip", "applications/x-gzip")),
    CompressorEntry("bzip2", 4, loading.bzip2, None, ("bz2", "application/x-bzip2", "application/x-bz2", "applications/x-bz2")),
    CompressorEntry("xz", 5, loading.xz, None, ("lzma", "application/x-xz", "application/x-lzma", "applications/x-lzma")),
    CompressorEntry("br", 6, loading.br, "brotli", ("brotli", "application/x-brotli", "applications/x-brotli")),
    CompressorEntry("snappy", 7, loading.snappy, "snappy", ("application/x-snappy",)),
    CompressorEntry("zstd", 8, loading.zstd, "zstd", ("zstandard", "application/zstd")),
    CompressorEntry("lz4", 9, loading.lz4, "lz4", ("application/x-lz4",)),
)  # fmt: skip

CODING_TAGS: Final[Mapping[str, int]] = MappingProxyType(
    {"identity": 0} | {entry.name: entry.tag for entry in COMPRESSORS if entry.tag is not None}
)
"""Content-coding token to the byte that stands for it in front of a payload on a socket; fixed for ever."""

_SERIALIZERS: Final = {
    key: entry for entry in SERIALIZERS for key in (entry.name, *entry.content_types)
}
_COMPRESSORS: Final = {key: entry for entry in COMPRESSORS for key in (entry.name, *entry.aliases)}


def essence(content_type: str) -> str:
    """Give a MIME type, or a name, without parameters and in lower case."""
    return content_type.partition(";")[0].strip().lower()


def find_serializer(name: str) -> SerializerEntry:
    """Find a serializer by its name or MIME type.

    Raises:
        UnknownCodec: there is none, built in or by an entry point.
    """
    key = essence(_text(name))
    found = _SERIALIZERS.get(key)
    if found is None:
        broken = None
        for point in _entry_points("gestalt.codecs.serializers"):
            if point.name != key and "/" not in key:
                continue
            try:
                cls = _checked(point, Serializer)
            except CodecError as error:
                if point.name == key:
                    raise
                broken = error  # another's defect, unless the MIME type would have been its own
                continue
            if point.name == key or key in cls.content_types:
                return SerializerEntry(point.name, partial(_same, cls), None, cls.content_types)
        raise UnknownCodec(
            f"no serializer is called {given(name)}; there are {', '.join(entry.name for entry in SERIALIZERS)}"
        ) from broken
    return found


def find_compressor(name: str) -> CompressorEntry:
    """Find a compressor by its name, its content-coding token or its MIME type.

    Raises:
        UnknownCodec: there is none, built in or by an entry point.
    """
    key = essence(_text(name))
    found = _COMPRESSORS.get(key)
    if found is None:
        for point in _entry_points("gestalt.codecs.compressors"):
            if point.name == key:
                cls = _checked(point, Compressor)  # type: ignore[type-abstract] # its base
                return CompressorEntry(point.name, None, partial(_same, cls), None)
        raise UnknownCodec(
            f"no compressor is called {given(name)}; there are {', '.join(entry.name for entry in COMPRESSORS)}"
        )
    return found


Base = TypeVar("Base", Serializer, Compressor)
Class = TypeVar("Class")


def _installed(
    entry: SerializerEntry | CompressorEntry, load: Callable[[], type[Base]]
) -> type[Base]:
    try:
        return load()
    except ImportError as error:
        if entry.extra is None:
            raise
        raise CodecNotInstalled(
            f'{entry.name} needs a library that is not installed: pip install "gestalt-codecs[{entry.extra}]"'
        ) from error


def _entry_points(group: str) -> tuple[Any, ...]:
    from importlib.metadata import entry_points  # costs 10 ms, and few need it

    return tuple(entry_points(group=group))


def _checked(point: Any, base: type[Base]) -> type[Base]:
    try:
        loaded: Any = point.load()
    except (ImportError, AttributeError) as error:
        raise CodecNotInstalled(
            f"{point.name} is declared by the entry point {point.value}, which cannot be imported: {error}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise CodecError(f"the entry point {point.value} of {point.name} is not a {base.__name__}")
    return loaded


def _same(cls: Class) -> Class:
    return cls


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise CodecError(f"a serializer or compressor is given by its name, not by {given(name)}")
    return name
