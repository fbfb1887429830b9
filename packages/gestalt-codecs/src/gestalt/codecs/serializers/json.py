"""JSON (RFC 8259), by msgspec."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final

import msgspec

from gestalt.codecs.errors import DecodeError, TooDeep, TrailingData, Truncated, short
from gestalt.codecs.serializer import Functions, Serializer
from gestalt.codecs.types import MessageType

from . import kombu
from .convert import validation_error

_NOT_OPENING: Final = bytes(set(range(256)) - set(b"[{"))
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
# The end of the data ends a string, too, so that no byte is looked at twice.
_STRINGS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z|\\\Z)', re.DOTALL)


class Json(Serializer):
    """Strict JSON in UTF-8. Typed values are validated while they are parsed."""

    textual = True

    def untyped(self) -> Functions:
        return Functions(msgspec.json.Encoder().encode, self._guarded(Any))

    def typed(self, kind: MessageType) -> Functions:
        if kind.format is not None:
            return super().typed(kind)
        return Functions(msgspec.json.Encoder().encode, self._guarded(kind.type))

    def explain(self, error: Exception, data: bytes) -> DecodeError:
        if isinstance(error, msgspec.ValidationError):
            return validation_error(self.name, error, data)
        if isinstance(error, msgspec.DecodeError):
            reason = str(error)
            if "truncated" in reason:
                return Truncated(f"{self.name}: the end is missing from {short(data)}")
            if "trailing characters" in reason:
                return TrailingData(f"{self.name}: something follows the value in {short(data)}")
        return super().explain(error, data)

    def _guarded(self, cls: Any) -> Callable[[bytes], Any]:
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(cls)
        loads = decoder.decode
        max_depth = self.max_depth
        # Every level takes an opening and a closing bracket: shorter data cannot be too deep.
        free = 2 * max_depth

        def guarded(data: bytes) -> Any:
            if len(data) > free and len(data.translate(None, _NOT_OPENING)) > max_depth:
                deepest = depth(data)
                if deepest > max_depth:
                    raise TooDeep(f"json: nested {deepest} deep, more than max_depth={max_depth}")
            try:
                return loads(data)
            except msgspec.ValidationError:
                if kombu.MARK not in data:
                    raise
            return msgspec.convert(kombu.unwrap(msgspec.json.decode(data)), cls)

        return guarded


def depth(data: bytes) -> int:
    """Measure how deep JSON is nested; of malformed JSON, at least as deep as a parser would go."""
    steps = _STRINGS.sub(b"", data).translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)
