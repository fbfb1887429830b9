"""How messages cross a socket: a framing and a codec."""

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

from .errors import PayloadError
from .framings import Framing, Mti

# Imported where it is used: an endpoint whose messages are bytes needs no codec.
if TYPE_CHECKING:
    from gestalt.codecs import Codec

IDENTITY = 0
"""The coding tag of a payload that is not compressed."""


class Wire:
    """How messages cross a socket: immutable, shared by all endpoints that speak alike.

    Where the codec compresses, or accepts what others compressed, each payload starts with a byte
    that tells how this one is: both ends need to agree on that, but not on the compressor.

    Args:
        framing: how messages are told apart.
        codec: what turns values into payloads and back; without one, messages are bytes.

    Raises:
        ValueError: the codec has several message types, and the framing cannot tell them apart.

    Attributes:
        encode: `(value, type_id=None) -> bytes`, a whole frame. Raises PayloadError, or what the
            codec raises.
        decode: `(payload, type_id) -> value`. Raises what the codec raises. None where the payload
            is the value.
        tagged: whether a payload may be compressed, and tells how.
    """

    __slots__ = ("_plain_mti", "codec", "decode", "encode", "framing", "tagged")

    encode: Callable[..., bytes]
    decode: Callable[[bytes, int | None], Any] | None

    def __init__(self, framing: Framing, codec: "Codec | None" = None) -> None:
        self.framing = framing
        self.codec = codec
        # Where a frame is a header, followed by the body as it is given.
        self._plain_mti: Mti | None = None
        tagged = codec is not None and (codec.compress is not None or bool(codec.accept))
        self.tagged = tagged
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

    def with_encode(self, encode: Callable[..., bytes]) -> "Wire":
        """The same wire, with every frame made by `encode`."""
        other = copy(self)
        other.encode = encode
        other._plain_mti = None  # noqa: SLF001 - of an object of this class
        return other

    def __repr__(self) -> str:
        return f"Wire({self.framing!r}, {self.codec!r})"


def _encoder(framing: Framing, codec: "Codec", *, tagged: bool) -> Callable[..., bytes]:
    from gestalt.codecs import CODING_TAGS

    encode_value = codec.encode
    encode_frame = framing.encode
    typed = codec.types is not None
    carries_type_id = framing.carries_type_id
    tags: dict[str | None, bytes] = {coding: bytes([tag]) for coding, tag in CODING_TAGS.items()}
    tags[None] = bytes([IDENTITY])

    def encode(value: Any, type_id: int | None = None) -> bytes:
        encoded = encode_value(value)
        if typed:
            if type_id is not None:
                raise PayloadError(f"type_id={type_id} was given, but the codec's types tell it")
            # Without type identifiers both ends know the single type, or the body tells it.
            type_id = encoded.type_id if carries_type_id else None
        body = encoded.body
        if tagged:
            body = tags[encoded.content_encoding] + body
        return encode_frame(body, type_id)

    return encode


def _decoder(codec: "Codec") -> Callable[[bytes, int | None], Any]:
    decode_value = codec.decode

    def decode(payload: bytes, type_id: int | None) -> Any:
        return decode_value(payload, type_id=type_id)

    return decode


def _tagged_decoder(codec: "Codec") -> Callable[[bytes, int | None], Any]:
    from gestalt.codecs import CODING_TAGS, DecodeError

    decode_value = codec.decode
    codings: dict[int, str | None] = {tag: coding for coding, tag in CODING_TAGS.items()}
    codings[IDENTITY] = None

    def decode(payload: bytes, type_id: int | None) -> Any:
        if not payload:
            raise DecodeError("the payload is empty: it must start with a coding tag")
        tag = payload[0]
        if tag not in codings:
            raise DecodeError(f"{tag} is no coding tag")
        return decode_value(payload[1:], type_id=type_id, content_encoding=codings[tag])

    return decode
