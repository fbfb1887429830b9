"""Published vectors of MessagePack and Avro, and RFC 8259's classes of what JSON is and is not."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gestalt.codecs import Avro, Codec, DecodeError, MessageTypes

YEAR_1, YEAR_10000 = -62_135_596_800, 253_402_300_800
VECTORS = Path(__file__).parents[3] / "shared" / "vectors"

ACCEPTED: list[tuple[str, Any]] = [
    ("null", None),
    (" \t\r\n[ 1 , 2 ] \n", [1, 2]),
    ('""', ""),
    ("{}", {}),
    ('{"":0}', {"": 0}),
    ('{"a":1,"b":{"c":[]}}', {"a": 1, "b": {"c": []}}),
    ("-0", 0),
    ("0e1", 0.0),
    ("0E+1", 0.0),
    ("-1.5e-3", -0.0015),
    ("123456789012345678901234567890", 123456789012345678901234567890),
    ("1e-400", 0.0),
    (r'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
    (r'"\u00e9\u20AC"', "é€"),
    (r'"\ud83d\ude00"', "\U0001f600"),
    (r'"\u0000"', "\x00"),
    ('"\x7f\u2028\U0010ffff"', "\x7f\u2028\U0010ffff"),
    ("[true,false]", [True, False]),
]

REJECTED = {
    "nothing": ["", " ", "\n"],
    "not a number": ["NaN", "nan", "-NaN", "Infinity", "-Infinity", "inf", "1e400", "-1e400"],
    "malformed numbers": ["01", "-01", "+1", ".5", "1.", "1.e1", "1e", "1e+", "-", "0x1", "1_0"],
    "malformed literals": ["True", "nul", "nulll", "FALSE", "undefined", "truefalse"],
    "malformed arrays": ["[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1,,2]", "[1}"],
    "malformed objects": ["{", "{1:2}", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}", '{"a" 1}'],
    "malformed strings": ['"', '"a', "'a'", '"\\', r'"\x41"', r'"\u12"', r'"\u123g"', r'"\U0041"'],
    "control characters": ['"\n"', '"\t"', '"\x00"', '"\x1f"'],
    "lone surrogates": [r'"\ud800"', r'"\udc00"', r'"\ud800\ud800"', r'"\ud800x"'],
    "trailing data": ["1 2", "[] []", '""x', "{}}", "null,"],
    "extensions": ["/**/1", "1//", "#\n1", "\ufeff1", "\x0b1", "\u00a01", "[1\x0c]"],
}


@pytest.mark.parametrize(("text", "value"), ACCEPTED, ids=lambda each: str(each)[:20])
def test_json_accepts(text: str, value: Any) -> None:
    decoded = Codec("json").decode(text.encode())
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize("kind", REJECTED)
def test_json_rejects(kind: str) -> None:
    for text in REJECTED[kind]:
        with pytest.raises(DecodeError):
            pytest.fail(f"{text!r} gave {Codec('json').decode(text.encode())!r}")


@pytest.mark.parametrize(
    "data",
    [
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b'"\xf4\x90\x80\x80"',
        b'"\xe2\x82"',
        '"é"'.encode("latin-1"),
    ],
)
def test_json_is_valid_utf_8(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Codec("json").decode(data)


def _shared(name: str) -> Path:
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return path


def test_msgpack_reads_every_legal_encoding_of_the_published_vectors() -> None:
    pytest.importorskip("msgpack")
    suite = json.loads(_shared("msgpack/msgpack-test-suite.json").read_text())
    codec = Codec("msgpack")
    seen = 0
    for group, rows in suite.items():
        for row in rows:
            # Numbers stand there twice, as JSON and as text that loses nothing.
            kind = next(key for key in ("bignum", *row) if key in row and key != "msgpack")
            value = row[kind]
            bodies = [bytes.fromhex(each.replace("-", "")) for each in row["msgpack"]]
            for body in bodies:
                if kind == "timestamp" and not YEAR_1 <= value[0] < YEAR_10000:
                    with pytest.raises(DecodeError, match="out of range"):
                        codec.decode(body)  # before the year 1 or after 9999
                    continue
                assert _comparable(codec.decode(body)) == _expected(kind, value), (group, row)
                seen += 1
            if kind not in ("ext", "timestamp"):
                assert codec.encode(_expected(kind, value)).body in bodies, (group, row)
    assert seen > 200


def _expected(kind: str, value: Any) -> Any:
    if kind == "binary":
        return bytes.fromhex(value.replace("-", ""))
    if kind == "bignum":
        return int(value)
    if kind == "ext":
        return (value[0], bytes.fromhex(value[1].replace("-", "")))
    if kind == "timestamp":
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return epoch + timedelta(seconds=value[0], microseconds=value[1] // 1000)
    return value


def _comparable(value: Any) -> Any:
    return tuple(value) if type(value).__name__ == "ExtType" else value


def test_avro_reads_the_published_single_object() -> None:
    pytest.importorskip("fastavro")
    folder = _shared("avro/messageV1")
    types = MessageTypes()
    types.add(1, Avro((folder / "test_schema.avsc").read_text()))
    codec = Codec("avro", types=types)
    body = (folder / "test_message.bin").read_bytes()
    record = codec.decode(body)
    assert record
    assert codec.encode(record).body == body


def test_avro_fingerprints_records_as_published() -> None:
    pytest.importorskip("fastavro")
    from gestalt.codecs.serializers.avro import fingerprint_of

    text = _shared("avro/schema-tests.txt").read_text()
    seen = 0
    given = re.compile(r"^<<INPUT[ \n](.*?)(?:\nINPUT)?\n<<canonical", re.DOTALL | re.MULTILINE)
    for case in re.split(r"^// \d+$", text, flags=re.MULTILINE)[1:]:
        schema = given.search(case)
        number = re.search(r"^<<fingerprint (-?\d+)$", case, re.MULTILINE)
        if schema and number:
            expected = int(number[1]).to_bytes(8, "little", signed=True)
            assert fingerprint_of(json.loads(schema[1])) == expected, schema[1]
            seen += 1
    assert seen > 15
