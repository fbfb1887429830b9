"""Keys that share a hash value: refused in linear time, in every format and kind of class."""

import json
import time
import uuid
from dataclasses import dataclass, field, make_dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Optional

import msgspec
import pytest

from gestalt.codecs import Avro, Codec, DecodeError, MessageTypes

PRIME = 2**61 - 1
"""Integers have their hash value modulo this."""
MANY = 8000


@dataclass(frozen=True)
class Point:
    x: int
    y: int


class Frozen(msgspec.Struct, frozen=True, array_like=True):
    x: int
    y: int


class Pair(NamedTuple):
    x: int
    y: int


@dataclass
class Scores:
    points: dict[int, int] = field(default_factory=dict)


class Node(msgspec.Struct):
    ids: set[uuid.UUID] = set()
    nodes: "list[Node]" = []


def colliding_pairs(count: int) -> list[tuple[int, int]]:
    """Make pairs of one hash value, by solving Python's hash of tuples for the second item."""
    size, p1, p2, p5 = 2**64, 11400714785074694791, 14029467366897019727, 2870177450012600261

    def rotate(x: int, bits: int) -> int:
        return ((x << bits) | (x >> (64 - bits))) % size

    wanted = rotate(12345 * pow(p1, -1, size) % size, 33)
    pairs: list[tuple[int, int]] = []
    first = 0
    while len(pairs) < count:
        first += 1
        after = rotate((p5 + first * p2) % size, 31) * p1 % size
        second = (wanted - after) * pow(p2, -1, size) % size
        if second < PRIME:
            pairs.append((first, second))
    assert len({hash(pair) for pair in pairs}) == 1
    return pairs


class Listed(msgspec.Struct, array_like=True):
    name: str
    ids: set[int]


INTEGERS = [n * PRIME for n in range(1, MANY)]
UUIDS = [str(uuid.UUID(int=n)) for n in INTEGERS]
DECIMALS = [str(n) for n in INTEGERS]
PAIRS = [list(pair) for pair in colliding_pairs(MANY)]
POINTS = [{"x": x, "y": y} for x, y in PAIRS]


def keyed(keys: list[str]) -> dict[str, int]:
    return dict.fromkeys(keys, 0)


CASES: list[tuple[Any, Any]] = [
    (set[int], INTEGERS),
    (set, INTEGERS),
    (frozenset[Any], INTEGERS),
    (dict[int, int], keyed(DECIMALS)),
    (dict[int | bool, int], keyed(DECIMALS)),
    (Scores, {"points": keyed(DECIMALS)}),
    (set[uuid.UUID], UUIDS),
    (set[uuid.UUID], [*UUIDS, "not one"]),
    (dict[uuid.UUID, int], keyed(UUIDS)),
    (list[dict[str, set[uuid.UUID]]], [{}, {"a": UUIDS}]),
    (set[Decimal], DECIMALS),
    (frozenset[Decimal | None], DECIMALS),
    (set[Decimal | int], DECIMALS),
    (dict[Decimal, int], keyed(DECIMALS)),
    (set[tuple[int, int]], PAIRS),
    (set[tuple[int, ...]], PAIRS),
    (set[Point], POINTS),
    (set[Frozen], PAIRS),
    (set[Pair], PAIRS),
    (Node, {"nodes": [{"nodes": [{"ids": UUIDS}]}]}),
]


def codec_of(name: str, cls: Any) -> Codec:
    types = MessageTypes()
    types.add(1, cls, name="values")
    return Codec(name, types=types)


@pytest.mark.parametrize(("cls", "value"), CASES, ids=lambda each: str(each)[:40])
@pytest.mark.parametrize("name", ["json", "msgpack"])
def test_keys_that_share_a_hash_value_are_refused_at_once(name: str, cls: Any, value: Any) -> None:
    if name == "msgpack":
        pytest.importorskip("msgpack")
        if isinstance(value, list) and INTEGERS[0] in value:
            pytest.skip("msgpack has integers of 64 bits")
    codec = codec_of(name, cls)
    data = Codec(name).encode(value).body
    started = time.process_time()
    with pytest.raises(DecodeError):
        codec.decode(data)
    assert time.process_time() - started < 1.5


@pytest.mark.parametrize(
    ("cls", "value"),
    [
        (set[frozenset[int]], [[each] for each in INTEGERS]),
        (set[Annotated[int, msgspec.Meta(description="a number")]], INTEGERS),
        (set[tuple[Literal["a", "b"], int]], [["a", each] for each in INTEGERS]),
        (set[tuple[Annotated[int, msgspec.Meta(ge=0)], str]], [[each, "a"] for each in INTEGERS]),
        (Listed, ["name", INTEGERS]),
    ],
    ids=lambda each: str(each)[:40],
)
def test_keys_that_are_made_of_others_are_refused_too(cls: Any, value: Any) -> None:
    codec = codec_of("json", cls)
    data = Codec("json").encode(value).body
    with pytest.raises(DecodeError, match="same hash value"):
        codec.decode(data)
    # What does not have the form is told by that.
    with pytest.raises(DecodeError):
        codec.decode(b'"text"')
    with pytest.raises(DecodeError):
        codec.decode(b'{"name": 1}')


def test_integers_in_disguise_are_refused_too() -> None:
    digits = ["".join(f"\\u003{digit}" for digit in number) for number in DECIMALS]
    data = "{" + ",".join(f'"{each}":0' for each in digits) + "}"
    with pytest.raises(DecodeError, match="same hash value"):
        codec_of("json", dict[int, int]).decode(data.encode())


def test_what_kombu_wraps_is_refused_too() -> None:
    wrapped = [{"__type__": "uuid", "__value__": {"hex": each}} for each in UUIDS]
    started = time.process_time()
    with pytest.raises(DecodeError, match="same hash value"):
        codec_of("json", set[uuid.UUID]).decode(json.dumps(wrapped).encode())
    assert time.process_time() - started < 1.5
    few = json.dumps(wrapped[:3]).encode()
    assert len(codec_of("json", set[uuid.UUID]).decode(few)) == 3


def test_yaml_is_guarded_as_well() -> None:
    pytest.importorskip("yaml")
    for cls, value in ((set[int], INTEGERS), (set[uuid.UUID], UUIDS), (set[Decimal], DECIMALS)):
        with pytest.raises(DecodeError, match="same hash value"):
            codec_of("yaml", cls).decode(Codec("yaml").encode(value).body)


def test_avro_into_a_class_is_guarded_as_well() -> None:
    pytest.importorskip("fastavro")

    @dataclass
    class Record:
        ids: set[uuid.UUID]

    strings = {"type": "array", "items": "string"}
    schema = {"type": "record", "name": "R", "fields": [{"name": "ids", "type": strings}]}
    plain = codec_of("avro", Avro(schema))
    codec = codec_of("avro", Avro(schema, into=Record))
    with pytest.raises(DecodeError, match="same hash value"):
        codec.decode(plain.encode({"ids": UUIDS}).body)


def test_models_are_guarded_as_well() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Tree(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        ids: set[uuid.UUID] = pydantic.Field(set(), alias="keys")
        numbers: dict[int, int] = pydantic.Field({})
        either: list[Scores | dict[str, frozenset[Decimal]]] = pydantic.Field([])
        below: "Tree | None" = None

    Tree.model_rebuild(_types_namespace={"Tree": Tree, "Optional": Optional})

    within = make_dataclass("Within", [("tree", Tree)])
    urns = [f"urn:uuid:{each}" for each in UUIDS]
    bodies: list[Any] = [
        {"below": {"keys": urns}},
        {"numbers": keyed(DECIMALS)},
        {"either": [{"a": [f" {each} " for each in DECIMALS]}]},
    ]
    for name in ("json", "msgpack"):
        if name == "msgpack":
            pytest.importorskip("msgpack")
        for body in bodies:
            with pytest.raises(DecodeError, match="same hash value"):
                codec_of(name, Tree).decode(Codec(name).encode(body).body)
            with pytest.raises(DecodeError, match="same hash value"):
                codec_of(name, within).decode(Codec(name).encode({"tree": body}).body)


@pytest.mark.parametrize("name", ["json", "msgpack"])
def test_honest_keys_pass_however_many(name: str) -> None:
    if name == "msgpack":
        pytest.importorskip("msgpack")
    namespace = uuid.uuid5(uuid.NAMESPACE_DNS, "example")
    ids = {uuid.uuid5(namespace, str(n)) for n in range(5000)}
    for cls, value in (
        (set[uuid.UUID], ids),
        (dict[uuid.UUID, int], dict.fromkeys(ids, 1)),
        (set[Decimal], {Decimal(n) / 100 for n in range(5000)}),
        (set[tuple[int, int]], {(n, -n) for n in range(5000)}),
        (list[int], [PRIME] * 5000),
        (Node, Node(ids, [Node(ids)])),
    ):
        codec = codec_of(name, cls)
        assert codec.decode(codec.encode(value).body) == value
    # The same member a thousand times is one.
    assert codec_of("json", set[int]).decode(json.dumps([10**30] * 5000).encode()) == {10**30}
    assert codec_of("json", set[int]).decode(json.dumps([10**30, 1]).encode()) == {10**30, 1}


class Row(msgspec.Struct, array_like=True):
    name: str
    ids: set[uuid.UUID]


class Table(msgspec.Struct):
    rows: list[Row] = []
    named: dict[str, set[uuid.UUID]] = {}
    first: Row | None = None
    ids: set[uuid.UUID] = set()


@pytest.mark.parametrize("name", ["json", "msgpack", "yaml"])
def test_what_is_of_another_kind_is_left_to_the_decoder(name: str) -> None:
    pytest.importorskip("msgspec" if name == "json" else name)
    types = MessageTypes()
    types.add(1, Table)
    codec, plain = Codec(name, types=types), Codec(name)
    row = ["a", [str(uuid.UUID(int=1))]]
    # Little data is not looked through.
    more = {"unknown": "x" * 5000}
    for given in ({"rows": [row]}, {"named": {"a": row[1]}}, {"first": row}, {"ids": row[1]}):
        body = plain.encode(given | more).body
        assert codec.decode(body, type_id=1) == msgspec.convert(given, Table)
    for field_name in ("rows", "named", "first", "ids"):
        for value in (5, "text", [5], {"a": 5}):
            with pytest.raises(DecodeError):
                codec.decode(plain.encode({field_name: value, **more}).body, type_id=1)


class Branch(msgspec.Struct, frozen=True, array_like=True):
    name: str
    next: "Branch | None" = None


class Trees(msgspec.Struct):
    branches: set[Branch]
    others: "list[Trees]" = []


@pytest.mark.parametrize("name", ["json", "msgpack", "yaml"])
def test_types_that_hold_themselves_are_looked_through_once(name: str) -> None:
    pytest.importorskip("msgspec" if name == "json" else name)
    types = MessageTypes()
    types.add(1, Trees)
    codec = Codec(name, types=types)
    value = Trees({Branch("a", Branch("b"))}, [Trees(set())])
    assert codec.decode(codec.encode(value).body, type_id=1) == value
