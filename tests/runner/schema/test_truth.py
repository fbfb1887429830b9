"""What is said to be compatible is read by the codecs; what they refuse is said to be not."""

from typing import Any, Literal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as some

from gestalt.codecs import Codec, DecodeError, MessageTypes
from gestalt.codecs.contracts import shapes_of
from gestalt.core.contracts import Channel, Operation
from gestalt.runner.schema.changes import Who
from gestalt.runner.schema.comparing import compare
from gestalt.runner.schema.document import document_of

KINDS: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "int | None": int | None,
    "str | int": str | int,
    "Literal['a']": Literal["a"],
    "Literal['a', 'b']": Literal["a", "b"],
    "list[int]": list[int],
    "list[float]": list[float],
    "dict[str, int]": dict[str, int],
    "tuple[int, str]": tuple[int, str],
}
DEFAULTS: dict[str, Any] = {
    "int": 0, "float": 0.5, "str": "x", "bool": True, "int | None": None, "str | int": 3,
    "Literal['a']": "a", "Literal['a', 'b']": "b", "list[int]": [], "list[float]": [],
    "dict[str, int]": {}, "tuple[int, str]": (1, "x"),
}  # fmt: skip

small = some.integers(-9, 9)
VALUES: dict[str, some.SearchStrategy[Any]] = {
    "int": small,
    "float": some.floats(allow_nan=False, allow_infinity=False),
    "str": some.text(max_size=3),
    "bool": some.booleans(),
    "int | None": some.none() | small,
    "str | int": some.text(max_size=3) | small,
    "Literal['a']": some.just("a"),
    "Literal['a', 'b']": some.sampled_from("ab"),
    "list[int]": some.lists(small, max_size=2),
    "list[float]": some.lists(some.sampled_from([0.5, 2.0]), max_size=2),
    "dict[str, int]": some.dictionaries(some.sampled_from("xy"), small),
    "tuple[int, str]": some.tuples(small, some.text(max_size=3)),
}

fields = some.dictionaries(
    some.sampled_from("abcd"),
    some.tuples(some.sampled_from(sorted(KINDS)), some.booleans()),
    max_size=3,
)
structs = some.tuples(fields, some.booleans(), some.booleans())


def made(described: Any) -> tuple[type, Codec]:
    """A class of these fields, and a codec for it."""
    named, strict, omits = described
    ordered = sorted(named.items(), key=lambda item: item[1][1])
    cls = msgspec.defstruct(
        "Reading",
        [
            (name, KINDS[kind], msgspec.field(default_factory=lambda kind=kind: DEFAULTS[kind]))
            if optional
            else (name, KINDS[kind])
            for name, (kind, optional) in ordered
        ],
        forbid_unknown_fields=strict,
        omit_defaults=omits,
    )
    types = MessageTypes()
    types.add(1, cls)
    return cls, Codec("json", types=types)


def document(codec: Codec) -> dict[str, Any]:
    operation = Operation(
        action="send", name="send", channel=Channel(name="x"), messages=shapes_of(codec)
    )
    return document_of([operation], title="x", version="1")


@settings(max_examples=120, deadline=None)
@given(structs, structs, some.data())
def test_who_is_not_said_to_be_in_trouble_reads_every_message(
    before: Any, after: Any, data: some.DataObject
) -> None:
    (old, old_codec), (new, new_codec) = made(before), made(after)
    changes = compare(document(old_codec), document(new_codec))
    broken = {who for each in changes for who in each.breaks}
    for (named, *_), writer, cls, reader, who in (
        (before, old_codec, old, new_codec, Who.NEW_READERS),
        (after, new_codec, new, old_codec, Who.OLD_READERS),
    ):
        needed = {name: VALUES[kind] for name, (kind, optional) in named.items() if not optional}
        others = {name: VALUES[kind] for name, (kind, optional) in named.items() if optional}
        value = cls(**data.draw(some.fixed_dictionaries(needed, optional=others)))
        body = writer.encode(value).body
        try:
            reader.decode(body, type_id=1)
        except DecodeError:
            assert who in broken, (body, who)
