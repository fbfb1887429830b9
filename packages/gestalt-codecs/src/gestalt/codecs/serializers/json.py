"""JSON (RFC 8259), by msgspec; models of pydantic are made by pydantic."""

import re
from typing import Any, Final

import msgspec

from gestalt.codecs.classes import is_model, refuses_unknown_fields
from gestalt.codecs.errors import DecodeError, EncodeError, TrailingData, Truncated
from gestalt.codecs.serializer import ABSENT, Dumps, Functions, Loads, LoadsOf, Quick, Serializer
from gestalt.codecs.showing import size_of
from gestalt.codecs.types import MessageType
from gestalt.core.numbers import kind_of

from . import kombu, models
from .collisions import checker
from .convert import SMALL, validation_error
from .json_guard import NOT_OPENING, check_depth, check_values

# Integers of more than 64 bits, in keys by escapes as well, can be made to collide.
_LONG_INTEGERS: Final = re.compile(rb"[0-9]{20}|\\u003")

# The first half of a pair by an escape, after which something stands that begins no other escape.
_LONE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}(?:[^\\]|\\[^u])")


class Json(Serializer):
    """Strict JSON in UTF-8. Typed values are validated while they are parsed."""

    textual = True

    def untyped(self) -> Functions:
        return Functions(_encoder.encode, self._bounded(msgspec.json.Decoder().decode))

    def typed(self, kind: MessageType) -> Functions:
        if is_model(kind.type):
            dumps, parse = models.json_functions(self.name, kind.type)
            loads = self._bounded(_refusing_collisions(kind.type, parse))
        else:
            dumps = _encoder.encode
            decode = msgspec.json.Decoder(kind.type, dec_hook=models.from_plain).decode
            loads = self._bounded(_refusing_collisions(kind.type, decode), _kombu_loads(kind.type))
        if kind.tag is None:
            return Functions(dumps, loads)
        if refuses_unknown_fields(kind.type):
            loads = _without(kind.tag, self._bounded(msgspec.json.Decoder().decode), loads)
        return Functions(_tagging(kind, kind.tag, dumps), loads)

    def quick(self, kind: MessageType | None) -> Quick | None:
        if kind is None:
            decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
        elif kind.format is not None or is_model(kind.type):
            return None
        else:
            decoder = msgspec.json.Decoder(kind.type, dec_hook=models.from_plain)
        decode = decoder.decode
        return Quick(lambda bodies: list(map(decode, bodies)), min(self._free, SMALL))

    def tagged(self, tag: str, loads_of: LoadsOf) -> Loads:
        # The tag comes first where we have written it, and is found without parsing the rest. Where
        # its name occurs again, or could in disguise, the last one at the top counts.
        key = msgspec.json.encode(tag)
        start = b"{" + key + b':"'
        size = len(start)
        skim = self._bounded(_tag_alone(tag))
        known: dict[bytes, Loads] = {}

        def read(data: bytes) -> Any:
            if data.startswith(start):
                loads = known.get(data[size : data.find(b'"', size)])
                if loads is not None and b"\\" not in data and data.count(key) == 1:
                    return loads(data)
            name = skim(data).tag
            loads = loads_of(name)
            known[name.encode()] = loads
            return loads(data)

        return read

    def check_values(self, body: bytes) -> None:
        if len(body) >= 2 * self.max_values:
            check_values(body, self.max_depth, self.max_values)

    def explain(self, error: Exception, data: bytes) -> DecodeError:
        if isinstance(error, msgspec.ValidationError):
            return validation_error(self.name, error, data)
        if isinstance(error, msgspec.DecodeError):
            reason = str(error)
            if "truncated" in reason:
                # The library says so as well where a surrogate has no room for its other half.
                if _LONE.search(data):
                    what = "a surrogate stands alone"
                    return DecodeError(f"{self.name}: cannot decode {size_of(data)}: {what}")
                return Truncated(f"{self.name}: the end is missing from {size_of(data)}")
            if "trailing characters" in reason:
                return TrailingData(f"{self.name}: something follows the value in {size_of(data)}")
        return super().explain(error, data)

    @property
    def _free(self) -> int:
        """Up to how many bytes data cannot be too deep, nor hold too many values."""
        # Every level takes an opening and a closing bracket, and every value or key a byte and one
        # that separates it from the next.
        return min(2 * self.max_depth, 2 * self.max_values - 1)

    def _bounded(self, loads: Loads, otherwise: Loads | None = None) -> Loads:
        """Bound what `loads` is given; `otherwise` reads what it refuses, and kombu has written."""
        max_depth, max_values = self.max_depth, self.max_values
        most = 2 * max_values
        free = self._free

        def bounded(data: bytes) -> Any:
            if len(data) > free:
                if len(data) >= most:
                    check_values(data, max_depth, max_values)
                if len(data.translate(None, NOT_OPENING)) > max_depth:
                    check_depth(data, max_depth, max_values)
            try:
                return loads(data)
            except msgspec.ValidationError:
                if otherwise is None or kombu.MARK not in data:
                    raise
            return otherwise(data)

        return bounded


_encoder: Final = msgspec.json.Encoder(enc_hook=models.to_json)


def _kombu_loads(cls: Any) -> Loads:
    check = checker(cls, integers=True)

    def loads(data: bytes) -> Any:
        plain = kombu.unwrap(msgspec.json.decode(data))
        if check is not None and len(data) > SMALL:
            check(plain)
        return msgspec.convert(plain, cls, str_keys=True, dec_hook=models.from_plain)

    return loads


def _refusing_collisions(cls: Any, loads: Loads) -> Loads:
    check_all = checker(cls, integers=True)
    if check_all is None:
        return loads
    without_integers = checker(cls, integers=False) is not None
    check, parse = check_all, msgspec.json.Decoder().decode

    def guarded(data: bytes) -> Any:
        if len(data) > SMALL and (without_integers or _LONG_INTEGERS.search(data)):
            check(parse(data))
        return loads(data)

    return guarded


def _tagging(kind: MessageType, tag: str, dumps: Dumps) -> Dumps:
    if kind.writes_tag:
        return dumps
    head = b"{%b:%b" % (msgspec.json.encode(tag), msgspec.json.encode(kind.name))
    whole, start = head + b"}", head + b","

    def tagged(value: Any) -> bytes:
        body = dumps(value)
        if body[:1] != b"{":
            raise EncodeError(f"json: {kind_of(value)} is no object, which a tag could be put into")
        return whole if body == b"{}" else start + body[1:]

    return tagged


def _without(tag: str, parse: Loads, loads: Loads) -> Loads:
    """Make the function that takes the tag away from those who refuse what they do not know."""
    key = msgspec.json.encode(tag)
    ours = re.compile(rb'\{%b:"[^"\\]*+"(?:,(?=")|(?=\}))' % re.escape(key)).match

    def without(data: bytes) -> Any:
        found = ours(data)
        if found and b"\\" not in data and data.count(key) == 1:
            return loads(b"{" + data[found.end() :])
        plain = parse(data)
        plain.pop(tag)
        return loads(msgspec.json.encode(plain))

    return without


def _tag_alone(tag: str) -> Loads:
    """Make the function that parses nothing but the tag."""
    fields = [("tag", Any, ABSENT)]
    return msgspec.json.Decoder(msgspec.defstruct("Tag", fields, rename={"tag": tag})).decode
