"""The codec: a serializer, a compressor, limits and message types, bound together once."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, NamedTuple

from gestalt.core.numbers import kind_of

from . import content, tagging
from .bound import Bound
from .errors import (
    CodecError,
    ContentNotAllowed,
    DecodeError,
    EncodeError,
    TooLarge,
)
from .reasons import cause_of, reason_of
from .refused import encode_error
from .registry import essence, find_compressor, find_serializer
from .serializer import Serializer
from .showing import given, size_of
from .types import MessageType, MessageTypes

MiB: Final = 1024 * 1024
MAX_DEPTH: Final = 128
MAX_VALUES: Final = 250_000
"""A value takes a byte or two, and up to half a KB and some microseconds until it is made."""

Buffer = bytes | bytearray | memoryview


class Encoded(NamedTuple):
    """An encoded message and what its receiver needs to know.

    Attributes:
        body: the bytes.
        content_type: the MIME type of the format.
        content_encoding: the content-coding token of the compressor, or None when it is not
            compressed.
        type_id: the number of the message type, or None without types.
        type_name: the name of the message type, or None without types.
    """

    body: bytes
    content_type: str
    content_encoding: str | None
    type_id: int | None
    type_name: str | None


# What NamedTuple's own constructor comes to, without its 0.1 microseconds of argument handling.
_new = tuple.__new__

# A peer may vary what it declares without end, so what was understood is remembered up to a number.
_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """How messages become bytes and back. Immutable, and shared freely, also by threads.

    A codec decodes what it encodes, and what others wrote in the same format; it never lets a peer
    choose another format, another compressor or a class. Registered protobuf and Avro types always
    take their own wire form, whatever the serializer.

    Args:
        serializer: a name or MIME type: `bytes`, `text`, `json`, `msgpack`, `yaml`, `avro`,
            `protobuf`, or one that an entry point brings.
        compress: a name or content-coding token: `deflate`, `raw-deflate`, `gzip`, `bzip2`, `xz`,
            `br`, `snappy`, `zstd`, `lz4`, or one that an entry point brings; None to leave bodies
            as they are.
        level: how hard the compressor tries; None for its default.
        min_size: bodies below this many bytes are not compressed.
        max_size: the most bytes that a body may have, before compression and after decompression.
        max_depth: how deep decoded data may be nested; protobuf's own limit of 100 stands beside
            it.
        max_values: how many values and keys one message may hold, in the formats that have them:
            JSON, msgpack, YAML, Avro and protobuf. It bounds the time and the memory that decoding
            takes.
        accept: further compressors that decode allows, beside `compress`.
        accept_types: further MIME types that decode takes for the format, as what others call it:
            `text/plain`, or `+json` for every type that ends so.
        types: the message types. Without them values are plain, and type ids are ignored. Where
            they have a tag, it tells the type of a body, and a type id or name that says otherwise
            is an error.

    Raises:
        UnknownCodec: there is no such serializer or compressor.
        CodecNotInstalled: its library is missing; the error names the command that installs it.
        SchemaError: the format needs types, and there are none; or the types have a tag, which the
            format has no place for.
        CodecError: a limit or the level makes no sense.
    """

    serializer: str = "json"
    _: KW_ONLY
    compress: str | None = None
    level: int | None = None
    min_size: int = 512
    max_size: int = 16 * MiB
    max_depth: int = MAX_DEPTH
    max_values: int = MAX_VALUES
    accept: Collection[str] = ()
    accept_types: Collection[str] = ()
    types: MessageTypes | None = None

    _short: int = field(init=False, repr=False)
    _types: MessageTypes = field(init=False, repr=False)
    _plain: Bound | None = field(init=False, repr=False)
    _tagged: Bound | None = field(init=False, repr=False)
    _pack: Callable[[bytes], bytes] | None = field(init=False, repr=False)
    _unpackers: dict[str, Callable[[bytes, int], bytes]] = field(init=False, repr=False)
    _formats: dict[str, tuple[Serializer, tuple[str, ...]]] = field(init=False, repr=False)
    _bound: dict[int, Bound] = field(init=False, repr=False)
    _codings: dict[str, content.Coding] = field(init=False, repr=False)
    _declared: dict[str, content.Declared] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        limits = {"min_size": 0, "max_size": 1, "max_depth": 1, "max_values": 1}
        for limit, least in limits.items():
            value = getattr(self, limit)
            if type(value) is not int or value < least:
                raise CodecError(f"{limit} is a number from {least} on, not {given(value)}")
        self._remember(_short=min(self.max_size, self.max_values))
        if self.compress is None and self.level is not None:
            raise CodecError(f"level={self.level} is that of a compressor, and compress is None")
        for name in ("accept", "accept_types"):
            if isinstance(getattr(self, name), str):
                raise CodecError(
                    f"{name} is a collection of names, not {given(getattr(self, name))}"
                )
        self._remember(accept_types=tuple(map(content.accepted_type, self.accept_types)))
        self._remember(_bound={}, _codings={}, _declared={}, _formats={}, _plain=None, _tagged=None)
        self._remember(serializer=self._format(self.serializer).name)
        if self.types is None:
            self._remember(_types=MessageTypes(), _plain=self._bind(None))
        else:
            self._remember(_types=self.types)
            if self.types.tag is not None:
                self._remember(_tagged=self._bind_tag(self.types))
        self._bind_compressors()

    def encode(self, value: Any) -> Encoded:
        """Encode a value.

        Raises:
            EncodeError: the format cannot carry it, it is not of a registered type
                (UnregisteredType), or it takes more than `max_size` bytes or `max_values` values.
        """
        bound = self._plain or self._bound_to_class(type(value))
        try:
            body = bound.dumps(value)
        except EncodeError:
            raise
        except Exception as error:
            made = encode_error(bound.serializer, value, error)
            raise made from cause_of(made, error)
        if len(body) > self._short:
            self._check_long(bound.serializer, value, body)
        coding = None
        if self._pack is not None and len(body) >= self.min_size:
            try:
                packed = self._pack(body)
            except Exception as error:
                raise EncodeError(
                    f"{self.compress}: cannot compress {size_of(body)}: {reason_of(error)}"
                ) from error
            if len(packed) < len(body):
                body, coding = packed, self.compress
        return _new(Encoded, (body, bound.content_type, coding, bound.type_id, bound.type_name))

    def decode(
        self,
        data: Buffer,
        *,
        type_id: int | None = None,
        type_name: str | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
    ) -> Any:
        """Decode a body, given what its sender declared of it.

        Args:
            data: the body. The result keeps no reference to it.
            type_id: the number of its message type; it comes before `type_name`.
            type_name: the name of its message type. With types and neither of the two, exactly one
                registered type means that type.
            content_type: its MIME type; None for the one of this codec.
            content_encoding: its content-coding token; None for not compressed. The names of
                charsets, which kombu writes here, and `identity` and `binary` mean not compressed,
                too.

        Raises:
            DecodeError: whatever is wrong with it; the classes below DecodeError tell what.
        """
        if type(data) is not bytes:
            data = _as_bytes(data)
        if len(data) > self.max_size:
            raise TooLarge(f"{size_of(data)} are more than max_size={self.max_size}")
        bound = self._plain or self._bound_to_name(type_id, type_name)
        if content_encoding or content_type:
            data = self._undo_content(bound, data, content_type, content_encoding)
        try:
            return bound.loads(data)
        except DecodeError:
            raise
        except Exception as error:
            made = bound.serializer.explain(error, data)
            raise made from cause_of(made, error)

    def decompress(self, data: bytes, content_encoding: str) -> bytes:
        """Undo the compression of a body, which `decode` then takes without `content_encoding`.

        Raises:
            DecodeError: it is not allowed, or fails, or makes more than `max_size` bytes.
        """
        coding = self._codings.get(content_encoding) or self._parse_coding(content_encoding)
        unpack = self._unpackers[coding.name] if coding.name else None
        return data if unpack is None else unpack(data, self.max_size)

    def encode_alike(self, values: Sequence[Any], bodies: list[bytes]) -> int | None:
        """Encode values of one class in a loop of its own, by a codec that does not compress.

        Args:
            values: at least one.
            bodies: where the body of each is appended.

        Returns:
            The number of their message type, or None without types.

        Raises:
            EncodeError: as `encode` does, for one of them; those before it are appended.
        """
        bound = self._plain or self._bound_to_class(type(values[0]))
        if not bound.encode_all(values, bodies, self._short):
            # One by one, which tells what is wrong.
            for value in values:
                bodies.append(self.encode(value).body)  # noqa: PERF401
        return bound.type_id

    def decode_alike(self, bodies: Sequence[bytes], type_id: int | None, values: list[Any]) -> None:
        """Decode bodies of one message type in a loop of its own; they are not compressed.

        Args:
            bodies: at least one.
            type_id: the number of their message type, as `decode` takes it.
            values: where what each one is, is appended.

        Raises:
            DecodeError: as `decode` does, for one of them; those before it are appended.
        """
        bound = self._plain or self._bound_to_name(type_id, None)
        if not bound.decode_all(bodies, values, self.max_size):
            for body in bodies:
                values.append(self.decode(body, type_id=type_id))  # noqa: PERF401

    def _check_long(self, serializer: Serializer, value: Any, body: bytes) -> None:
        if len(body) > self.max_size:
            raise EncodeError(
                f"{kind_of(value)} takes {len(body)} bytes, more than max_size={self.max_size}"
            )
        try:
            serializer.check_values(body)
        except DecodeError as error:
            raise encode_error(serializer, value, error) from error

    def allows(self, content_type: str) -> bool:
        """Tell whether decode allows a MIME type."""
        name = essence(content_type)
        if name in self._formats[self.serializer][1] or self._accepts(name):
            return True
        own = {kind.format for kind in self.types or () if kind.format}
        return any(name in find_serializer(each).content_types for each in own)

    def _accepts(self, name: str) -> bool:
        return any(
            name.endswith(each) if each[0] == "+" else name == each for each in self.accept_types
        )

    def _remember(self, **attributes: Any) -> None:
        # The way around `frozen`, for construction only.
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    def _format(self, name: str) -> Serializer:
        entry = find_serializer(name)
        if entry.name not in self._formats:
            serializer = entry.make(self.max_depth, self.max_values)
            self._formats[entry.name] = serializer, entry.content_types
        return self._formats[entry.name][0]

    def _bind_compressors(self) -> None:
        unpackers = {}
        pack = None
        if self.compress is not None:
            entry = find_compressor(self.compress)
            compressor = entry.make(self.level)
            pack = compressor.compress
            unpackers[entry.name] = compressor.decompress
            self._remember(compress=entry.name)
        for name in self.accept:
            entry = find_compressor(name)
            if entry.name not in unpackers:
                unpackers[entry.name] = entry.make(None).decompress
        self._remember(_pack=pack, _unpackers=unpackers, accept=tuple(unpackers))

    def _bound_to_class(self, cls: type) -> Bound:
        kind = self._types.by_class(cls)
        return self._bound.get(kind.id) or self._bind(kind)

    def _bound_to_name(self, type_id: int | None, type_name: str | None) -> Bound:
        if type_id is not None:
            try:
                bound = self._bound.get(type_id)
            except TypeError:  # it is not even hashable
                bound = None
            if bound is not None:
                return bound
            kind = self._types.by_id(type_id)
        elif type_name:
            kind = self._types.by_name(type_name)
        elif self._tagged is not None:
            return self._tagged
        else:
            kind = self._types.only()
        return self._bound.get(kind.id) or self._bind(kind)

    def _bind(self, kind: MessageType | None) -> Bound:
        name = kind.format if kind and kind.format else self.serializer
        self._format(name)
        serializer, content_types = self._formats[name]
        written = content_types[0]
        if kind is None:
            dumps, loads = serializer.untyped()
            quick = serializer.quick(None)
            return Bound(dumps, loads, serializer, written, content_types, None, None, quick)
        dumps, loads = serializer.functions(kind)
        if kind.tag is None:
            quick = serializer.quick(kind)
        else:
            loads = tagging.of_one(kind, serializer, loads)
            dumps = tagging.refusing(kind, dumps)
            quick = None
        bound = Bound(dumps, loads, serializer, written, content_types, kind.id, kind.name, quick)
        self._bound[kind.id] = bound
        return bound

    def _bind_tag(self, types: MessageTypes) -> Bound:
        """Bind what decodes a body that nothing but its tag tells the type of."""
        serializer, content_types = self._formats[self.serializer]
        loads = tagging.of_any(types, serializer)
        written = content_types[0]
        return Bound(tagging.told_by_class, loads, serializer, written, content_types, None, None)

    def _undo_content(
        self, bound: Bound, data: bytes, content_type: str | None, content_encoding: str | None
    ) -> bytes:
        charset = None
        if content_encoding:
            coding = self._codings.get(content_encoding) or self._parse_coding(content_encoding)
            if coding.name is not None:
                data = self._unpackers[coding.name](data, self.max_size)
            charset = coding.charset
        if content_type:
            declared = self._declared.get(content_type) or self._parse_type(content_type)
            if declared.essence not in bound.content_types and not self._accepts(declared.essence):
                allowed = ", ".join((bound.content_type, *self.accept_types))
                raise ContentNotAllowed(
                    f"the content type {given(content_type)} is not allowed here, "
                    f"only {allowed}; accept_types= is for other names of this format, and Codecs "
                    "for other formats"
                )
            charset = declared.charset or charset
        if charset is not None and bound.serializer.textual:
            data = content.to_utf8(data, charset)
        return data

    def _parse_coding(self, content_encoding: str) -> content.Coding:
        coding = content.parse_coding(content_encoding)
        if coding.name is not None and coding.name not in self._unpackers:
            allowed = ", ".join(self._unpackers) or "no compression"
            raise ContentNotAllowed(
                f"the content encoding {given(content_encoding)} is not allowed here, "
                f"only {allowed}; name it in compress= or accept="
            )
        if len(self._codings) < _REMEMBERED:
            self._codings[content_encoding] = coding
        return coding

    def _parse_type(self, content_type: str) -> content.Declared:
        declared = content.parse_type(content_type)
        if len(self._declared) < _REMEMBERED:
            self._declared[content_type] = declared
        return declared


def _as_bytes(data: Any) -> bytes:
    try:
        return bytes(memoryview(data))
    except (TypeError, ValueError) as error:
        raise TypeError(f"decode takes bytes or another buffer, not {kind_of(data)}") from error
