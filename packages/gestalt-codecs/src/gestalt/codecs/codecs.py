"""Several codecs as one: a receiver's list of what it allows."""

from collections.abc import Iterator
from typing import Any

from gestalt.core.numbers import kind_of

from .codec import Buffer, Codec, Encoded
from .errors import CodecError, ContentNotAllowed
from .showing import given
from .types import MessageTypes


class Codecs:
    """Decodes whatever of its members a message declares, and refuses the rest; encodes by the
    first.

    It stands wherever gestalt.amq takes a Codec: there each message says which format it has.

    Args:
        codecs: the members. A message that declares no content type is the first one's.

    Raises:
        CodecError: there is none, or two are of the same format.
    """

    __slots__ = ("_chosen", "_codecs")

    def __init__(self, *codecs: Codec) -> None:
        if not codecs or not all(isinstance(codec, Codec) for codec in codecs):
            raise CodecError(f"Codecs takes one Codec or more, not {kind_of(codecs)}")
        names = [codec.serializer for codec in codecs]
        if len(set(names)) < len(names):
            raise CodecError(f"Codecs takes one Codec for each format, not {', '.join(names)}")
        self._codecs = codecs
        self._chosen: dict[str, Codec] = {}

    def encode(self, value: Any) -> Encoded:
        """Encode a value by the first codec; see Codec.encode."""
        return self._codecs[0].encode(value)

    def decode(
        self,
        data: Buffer,
        *,
        type_id: int | None = None,
        type_name: str | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
    ) -> Any:
        """Decode a body by the codec of its content type; see Codec.decode.

        Raises:
            ContentNotAllowed: the content type is none of the codecs'.
            DecodeError: whatever else is wrong with it.
        """
        codec = self._codecs[0]
        if content_type:
            codec = self._chosen.get(content_type) or self._choose(content_type)
        return codec.decode(
            data,
            type_id=type_id,
            type_name=type_name,
            content_type=content_type,
            content_encoding=content_encoding,
        )

    def allows(self, content_type: str) -> bool:
        """Tell whether decode allows a MIME type."""
        return any(codec.allows(content_type) for codec in self._codecs)

    @property
    def serializer(self) -> str:
        """The format of the first codec, in which values are encoded."""
        return self._codecs[0].serializer

    @property
    def compress(self) -> str | None:
        """The compressor of the first codec."""
        return self._codecs[0].compress

    @property
    def types(self) -> MessageTypes | None:
        """The message types of the first codec."""
        return self._codecs[0].types

    @property
    def max_size(self) -> int:
        """The largest body that any of the codecs allows, in bytes."""
        return max(codec.max_size for codec in self._codecs)

    def __iter__(self) -> Iterator[Codec]:
        return iter(self._codecs)

    def __repr__(self) -> str:
        return f"Codecs({', '.join(map(repr, self._codecs))})"

    def _choose(self, content_type: str) -> Codec:
        for codec in self._codecs:
            if codec.allows(content_type):
                # A peer may vary what it declares without end, so the memory of it is bounded.
                if len(self._chosen) < 64:
                    self._chosen[content_type] = codec
                return codec
        allowed = ", ".join(codec.serializer for codec in self._codecs)
        raise ContentNotAllowed(
            f"the content type {given(content_type)} is not allowed here, only that of {allowed}"
        )
