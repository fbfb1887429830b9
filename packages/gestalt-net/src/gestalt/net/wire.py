"""How messages cross a socket: a framing and a codec."""

from collections.abc import Callable, Sequence
from copy import copy
from functools import cache
from itertools import repeat
from operator import index
from typing import TYPE_CHECKING, Any

from gestalt.core.numbers import kind_of

from .errors import PayloadError
from .framings import Framing, Mti, TypeIds

# Imported where it is used: an endpoint whose messages are bytes needs no codec.
if TYPE_CHECKING:
    from gestalt.codecs import Codec

IDENTITY = 0
"""The coding tag of a payload that is not compressed."""


EXPANDED = 256 * 1024
"""How many bytes compressed messages that came together may become before others wait."""


class Wire:
    """How messages cross a socket: immutable, shared by all endpoints that speak alike.

    Where the codec compresses, or accepts what others compressed, each payload starts with a byte
    that tells how this one is: both ends need to agree on that, but not on the compressor.

    Args:
        framing: how messages are told apart.
        codec: what turns values into payloads and back; without one, messages are bytes.

    Raises:
        ValueError: the codec has several message types, and the framing cannot tell them apart.
        TypeError: the codec is none, or Codecs, of which a socket has no place for more than one.

    Attributes:
        encode: `(value, type_id=None) -> bytes`, a whole frame. Raises PayloadError, or what the
            codec raises.
        decode: `(payload, type_id) -> value`. Raises what the codec raises. None where the payload
            is the value.
        singly: whether every frame is to be made by `encode`, also of those that are sent together.
        tagged: whether a payload may be compressed, and tells how.
    """

    __slots__ = ("_plain_mti", "codec", "decode", "encode", "framing", "singly", "tagged")

    encode: Callable[..., bytes]
    decode: Callable[[bytes, int | None], Any] | None

    def __init__(self, framing: Framing, codec: "Codec | None" = None) -> None:
        if codec is not None and not hasattr(codec, "accept"):
            # As Codecs: on a stream nothing tells which of them a message is of.
            raise TypeError(f"codec must be one Codec, got {kind_of(codec)}")
        self.framing: Framing = framing
        self.codec: Codec | None = codec
        self.singly: bool = False
        # Where a frame is a header, followed by the body as it is given.
        self._plain_mti: Mti | None = None
        tagged = codec is not None and (codec.compress is not None or bool(codec.accept))
        self.tagged: bool = tagged
        if codec is None or (codec.serializer == "bytes" and codec.types is None and not tagged):
            # No function of our own in between: this is the fastest path.
            self.encode = framing.encode
            self.decode = None
            if type(framing) is Mti:
                self._plain_mti = framing
            return
        types = codec.types
        if types and len(types) > 1 and types.tag is None and not framing.carries_type_id:
            raise ValueError(
                f"{framing!r} carries no type identifiers, which {len(types)} message types need: "
                'Mti does, and MessageTypes(tag="type") does without'
            )
        self.encode = _encoder(framing, codec, tagged=tagged)
        self.decode = _tagged_decoder(codec) if tagged else _decoder(codec)

    def header_for(self, size: int) -> Callable[[int, int], bytes] | None:
        """What makes any body of at most `size` bytes a frame when it is put before it.

        Returns:
            `(size, type_id) -> bytes`, which raises struct.error where the type identifier does not
            fit; None where `encode` does more than that, or refuses some of these bodies.
        """
        mti = self._plain_mti
        return mti.pack_header if mti is not None and size <= mti.max_size else None

    def payloads_of(
        self, values: list[Any], type_id: int | None
    ) -> tuple[list[bytes], TypeIds, Exception | None]:
        """What is framed for values that are sent together.

        Args:
            values: at least one.
            type_id: as `encode` takes it.

        Returns:
            The payloads and their type identifiers, as far as the values can be encoded, and what
            is wrong with the next one.
        """
        codec = self.codec
        payloads: list[bytes] = []
        if type_id is not None:
            try:
                type_id = index(type_id)
            except TypeError:
                # A sequence would be taken for one of each.
                return payloads, None, _no_type_id(type_id)
        if codec is None or self.decode is None:
            return values, type_id, None
        type_ids: list[int | None] = []
        carries_type_id = self.framing.carries_type_id and codec.types is not None
        if codec.types is not None and type_id is not None:
            return payloads, None, _superfluous(type_id)
        try:
            if not self.tagged and len(set(map(type, values))) == 1:
                known = codec.encode_alike(values, payloads)
                return payloads, known if carries_type_id else type_id, None
            for value in values:
                encoded = codec.encode(value)
                body = encoded.body
                payloads.append(_tag(encoded.content_encoding) + body if self.tagged else body)
                type_ids.append(encoded.type_id if carries_type_id else type_id)
        except Exception as error:
            return payloads, type_ids, error
        return payloads, type_ids, None

    def decode_many(
        self, payloads: list[bytes], type_ids: Sequence[int | None] | None, values: list[Any]
    ) -> None:
        """Decode payloads that came together, and append what they are to `values`.

        All of them, unless compressed ones become many bytes: then those before, at least one.

        Raises:
            Exception: what `decode` raises for one of them; those before it are appended.
        """
        decode = self.decode
        codec = self.codec
        if codec is None or decode is None:
            values += payloads
            return
        if not self.tagged and (type_ids is None or len(set(type_ids)) == 1):
            codec.decode_alike(payloads, None if type_ids is None else type_ids[0], values)
            return
        expanded = 0
        for payload, type_id in zip(payloads, type_ids or repeat(None), strict=False):
            if not self.tagged:
                values.append(decode(payload, type_id))
                continue
            body, coding = _untag(payload)
            if coding is not None:
                body = codec.decompress(body, coding)
                expanded += len(body)
            values.append(codec.decode(body, type_id=type_id))
            if expanded >= EXPANDED:
                return

    def with_encode(self, encode: Callable[..., bytes]) -> "Wire":
        """The same wire, with every frame made by `encode`."""
        other = copy(self)
        other.encode = encode
        other.singly = True
        other._plain_mti = None  # noqa: SLF001 - of an object of this class
        return other

    def __repr__(self) -> str:
        return f"Wire({self.framing!r}, {self.codec!r})"


def _no_type_id(type_id: object) -> PayloadError:
    return PayloadError(
        f"a type identifier is one integer for all messages, got {type(type_id).__name__}"
    )


def _superfluous(type_id: int) -> PayloadError:
    return PayloadError(f"type_id={type_id} was given, but the codec's types tell it")


@cache
def _tag(coding: str | None) -> bytes:
    from gestalt.codecs import CODING_TAGS

    return bytes([IDENTITY if coding is None else CODING_TAGS[coding]])


@cache
def _codings() -> dict[int, str | None]:
    from gestalt.codecs import CODING_TAGS

    return {tag: coding for coding, tag in CODING_TAGS.items()} | {IDENTITY: None}


def _untag(payload: bytes) -> tuple[bytes, str | None]:
    """A body, and how it is compressed.

    Raises:
        DecodeError: it does not start with a coding tag.
    """
    from gestalt.codecs import DecodeError

    if not payload:
        raise DecodeError("the payload is empty: it must start with a coding tag")
    tag = payload[0]
    codings = _codings()
    if tag not in codings:
        raise DecodeError(f"{tag} is no coding tag")
    return payload[1:], codings[tag]


def _encoder(framing: Framing, codec: "Codec", *, tagged: bool) -> Callable[..., bytes]:
    encode_value = codec.encode
    encode_frame = framing.encode
    typed = codec.types is not None
    carries_type_id = framing.carries_type_id

    def encode(value: Any, type_id: int | None = None) -> bytes:
        encoded = encode_value(value)
        if typed:
            if type_id is not None:
                raise _superfluous(type_id)
            # Without type identifiers both ends know the single type, or the body tells it.
            type_id = encoded.type_id if carries_type_id else None
        body = encoded.body
        if tagged:
            body = _tag(encoded.content_encoding) + body
        return encode_frame(body, type_id)

    return encode


def _decoder(codec: "Codec") -> Callable[[bytes, int | None], Any]:
    decode_value = codec.decode

    def decode(payload: bytes, type_id: int | None) -> Any:
        return decode_value(payload, type_id=type_id)

    return decode


def _tagged_decoder(codec: "Codec") -> Callable[[bytes, int | None], Any]:
    decode_value = codec.decode

    def decode(payload: bytes, type_id: int | None) -> Any:
        body, coding = _untag(payload)
        return decode_value(body, type_id=type_id, content_encoding=coding)

    return decode
