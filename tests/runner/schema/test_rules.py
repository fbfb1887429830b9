"""Each rule by which a change of a schema or of a channel breaks somebody, or nobody."""

from typing import Any

import pytest

from gestalt.runner.schema.binary_changes import avro_changes, canonical, protobuf_changes
from gestalt.runner.schema.changes import NEW_READERS as NEW
from gestalt.runner.schema.changes import NOBODY, PEERS, READERS
from gestalt.runner.schema.changes import OLD_READERS as OLD
from gestalt.runner.schema.channel_changes import channel_changes, covers
from gestalt.runner.schema.json_changes import JsonChanges

Rules = list[tuple[str, frozenset[Any]]]
TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}

ANYTHING = {"type": "object", "properties": {"any": {}}}


def list_of(*items: Any, further: Any = False) -> dict[str, Any]:
    """A list by position, as draft 7 has it."""
    return {"type": "array", "items": list(items), "additionalItems": further}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (TEXT, {**TEXT, "enum": ["a", "b"]}, [("it must now be one of 'a', 'b'", NEW)]),
        (
            {**TEXT, "enum": list("abcdef")},
            TEXT,
            [("it need not be one of 'a', 'b', 'c', 'd', 'e', ... any more", OLD)],
        ),
        (
            {"const": "a"},
            {"const": "b"},
            [("the value 'a' is removed", NEW), ("the value 'b' is added", OLD)],
        ),
        ({}, {}, []),
        (ANYTHING, ANYTHING, []),
        ({"enum": [None, [1], {}]}, {"enum": [None, [1], {}]}, []),
        (WHOLE, NUMBER, [("it was integer, and is number", OLD)]),
        (NUMBER, WHOLE, [("it was number, and is integer", NEW)]),
        ({"enum": [1, 2.5]}, {"enum": [2.5]}, [("the value 1 is removed", NEW)]),
        (TEXT, {}, [("it was string, and is anything", OLD)]),
        (TEXT, True, [("it was string, and is anything", OLD)]),
        (True, False, [("it must now be one of no value", NEW)]),
        (False, True, [("it need not be one of no value any more", OLD)]),
        (TEXT, "nonsense", [("it was string, and is anything", OLD)]),
        ({"type": ["string", "null"]}, TEXT, [("it cannot be null any more", NEW)]),
        (
            {"anyOf": [{"type": ["string", "null"]}, WHOLE]},
            {"anyOf": [{"type": ["string", "null"]}, NUMBER]},
            [("it may now be number", OLD)],
        ),
        (
            {"oneOf": [{"const": 1}, {"const": 2}]},
            {"oneOf": [{"const": 1}]},
            [("it cannot be 2 any more", NEW)],
        ),
        ({"allOf": [TEXT], "description": "a text"}, TEXT, []),
        ({"$ref": "#/circle"}, {"$ref": "#/missing"}, []),
        ({"$ref": "#/tree"}, {"$ref": "#/tree"}, []),
        ({**WHOLE, "minimum": 1}, {**WHOLE, "minimum": 5}, [("minimum was 1, is 5", NEW)]),
        ({**WHOLE, "minimum": 5}, {**WHOLE, "minimum": 1}, [("minimum was 5, is 1", OLD)]),
        ({**TEXT, "maxLength": 1}, {**TEXT, "maxLength": 5}, [("maxLength was 1, is 5", OLD)]),
        ({**TEXT, "maxLength": 5}, {**TEXT, "maxLength": 1}, [("maxLength was 5, is 1", NEW)]),
        (TEXT, {**TEXT, "maxLength": 1}, [("maxLength is 1 now", NEW)]),
        ({**TEXT, "maxLength": 1}, TEXT, [("maxLength was 1, and is no more", OLD)]),
        (
            {**TEXT, "pattern": "a"},
            {**TEXT, "pattern": "b"},
            [("pattern was 'a', is 'b'", READERS)],
        ),
        (TEXT, {**TEXT, "pattern": "b"}, [("pattern is 'b' now", NEW)]),
        ({**TEXT, "pattern": "a"}, TEXT, [("pattern was 'a', and is no more", OLD)]),
        (list_of(TEXT), list_of(WHOLE), [("it was string, and is integer", READERS)]),
        (list_of(TEXT, further=WHOLE), list_of(TEXT, WHOLE, further=WHOLE), []),
    ],
)
def test_of_json(old: Any, new: Any, expected: Rules) -> None:
    document = {
        "circle": {"$ref": "#/circle"},
        "tree": {"type": "object", "properties": {"tree": {"$ref": "#/tree"}}},
    }
    found = list(JsonChanges(document, document).compare(old, new))
    assert [(each.what, each.breaks) for each in found] == expected


def record(*fields: Any, **others: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields), **others}


def test_of_avro() -> None:
    old, new = record({"name": "a", "type": "int"}), record({"name": "b", "type": "int"})

    def told(was: Any, now: Any, takes: Any, takes_now: Any, **facts: Any) -> Rules:
        facts_now = {"accepts": takes_now, **facts}
        found = avro_changes(was, now, {"accepts": takes}, facts_now)
        return [(each.what, each.breaks) for each in found]

    assert told(old, {**old, "doc": "what it is"}, [], []) == []
    assert told(old, new, [], []) == [("the schema has changed", READERS)]
    assert told(old, new, [new], []) == [("the schema has changed", NEW)]
    assert told(old, new, [], [old]) == [("the schema has changed", OLD)]
    assert told(old, new, [new], [old]) == [("the schema has changed", NOBODY)]
    assert told(old, old, [new], []) == [("a former schema is not accepted any more", NEW)]
    assert told(old, old, [new, old], [new]) == []
    assert told(old, old, [], [], bare=True) == [
        ("it is written without a fingerprint now", READERS)
    ]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (["null", {"type": "string"}], ["null", "string"]),
        ({"type": {"type": "array", "items": {"type": "int"}}}, {"type": "array", "items": "int"}),
        ({"type": "map", "values": ["int"], "doc": "x"}, {"type": "map", "values": ["int"]}),
        (
            {"type": "enum", "name": "E", "namespace": "n", "symbols": ["A"], "default": "A"},
            {"name": "n.E", "type": "enum", "symbols": ["A"]},
        ),
        (
            {"type": "fixed", "name": "n.F", "size": "16", "aliases": ["G"]},
            {"name": "n.F", "type": "fixed", "size": 16},
        ),
        (
            record({"name": "f", "type": "Other", "default": 1}, namespace="n"),
            {"name": "n.R", "type": "record", "fields": [{"name": "f", "type": "n.Other"}]},
        ),
        (
            {"type": "error", "name": "E", "fields": []},
            {"name": "E", "type": "record", "fields": []},
        ),
    ],
)
def test_the_canonical_form_is_that_of_the_specification(schema: Any, expected: Any) -> None:
    assert canonical(schema) == expected


def proto(closed: bool = False, values: Any = None, **fields: Any) -> dict[str, Any]:
    """A message M, which may hold itself and an enumeration."""
    numbered = {number.removeprefix("f"): field for number, field in fields.items()}
    enum = {"values": values or {"A": 0}, "closed": closed}
    return {"message": "M", "messages": {"M": numbered}, "enums": {"E": enum}}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            proto(f1={"name": "a", "type": "int32"}),
            proto(f1={"name": "a", "type": "int32", "required": True}),
            [("it is required", NEW)],
        ),
        (
            proto(f1={"name": "a", "type": "int32", "required": True}),
            proto(f1={"name": "a", "type": "int32"}),
            [("it is not required any more", OLD)],
        ),
        (
            proto(f1={"name": "m", "type": "message", "of": "M"}),
            proto(
                f1={"name": "m", "type": "message", "of": "M"}, f2={"name": "b", "type": "int32"}
            ),
            [("a field 2 is added", NOBODY)],
        ),
        (
            proto(True, {"A": 0, "B": 1}, f1={"name": "e", "type": "enum", "of": "E"}),
            proto(True, {"A": 0, "C": 2}, f1={"name": "e", "type": "enum", "of": "E"}),
            [("the value B = 1 is removed", NEW), ("the value C = 2 is added", OLD)],
        ),
        (
            proto(),
            {**proto(), "message": "N"},
            [("it was M, and is N", NOBODY)],
        ),
    ],
)
def test_of_protobuf(old: Any, new: Any, expected: Rules) -> None:
    assert [(each.what, each.breaks) for each in protobuf_changes(old, new)] == expected


def channel(exchange: Any = None, **facts: Any) -> dict[str, Any]:
    told = {f"x-gestalt-{name.replace('_', '-')}": value for name, value in facts.items()}
    return {**told, "bindings": {"amqp": {"exchange": exchange}}}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (channel(), channel(framing={"name": "Mti"}), [("the framing has changed", PEERS)]),
        (
            channel(framing={"name": "Mti"}),
            channel(framing={"name": "Netstring"}),
            [("the framing was Mti, and is Netstring", PEERS)],
        ),
        (
            channel(framing={"name": "Mti", "max-size": 1000}),
            channel(framing={"name": "Mti", "max-size": 10}),
            [("a frame had up to 1,000 bytes, and has up to 10", NEW)],
        ),
        (
            channel(identified_by="tag"),
            channel(identified_by="type-id"),
            [
                (
                    "the type of a message was told by the tag in its body, and is by the type id "
                    "in its frame",
                    PEERS,
                )
            ],
        ),
        (
            channel(bind_arguments={"x-match": "any"}),
            channel(bind_arguments={"x-match": "all"}),
            [("the arguments of the binding have changed", PEERS)],
        ),
        (
            channel(compression="gzip", accepts_compression=["gzip"]),
            channel(compression="zstd", accepts_compression=["zstd"]),
            [("bodies were compressed by gzip, and are by zstd", READERS)],
        ),
        (
            channel(compression=None, accepts_compression=["gzip"]),
            channel(compression="gzip", accepts_compression=["gzip"]),
            [("bodies were compressed by nothing, and are by gzip", NOBODY)],
        ),
        (
            channel(compression="gzip", accepts_compression=["gzip", "br"]),
            channel(compression="gzip", accepts_compression=["gzip"]),
            [("compression by br is not accepted any more", NEW)],
        ),
        (
            channel({"type": "topic", "durable": True}),
            channel({"type": "direct", "durable": True}),
            [
                (
                    "the type of the exchange was topic, and is direct: who declares it otherwise "
                    "is refused",
                    PEERS,
                )
            ],
        ),
    ],
)
def test_of_channels(old: Any, new: Any, expected: Rules) -> None:
    assert list(channel_changes(old, new)) == expected


@pytest.mark.parametrize(
    ("pattern", "other", "expected"),
    [
        ("#", "a.*.b", True),
        ("a.#", "a", True),
        ("a.#", "a.b.#", True),
        ("a.*", "a.b", True),
        ("a.*", "a.#", False),
        ("a.b", "a.*", False),
        ("a.b", "a", False),
        ("a", "a.b", False),
    ],
)
def test_a_binding_key_covers_another(pattern: str, other: str, expected: bool) -> None:
    assert covers(pattern, other) is expected
