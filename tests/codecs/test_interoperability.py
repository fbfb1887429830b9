"""Messages that kombu and gestalt 20.1.1 wrote, given their properties and headers."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gestalt.codecs import Avro, Codec, Codecs, DecodeError, MessageTypes, ValidationError


def _rows(name: str) -> Any:
    path = Path(__file__).parent / "vectors" / f"{name}.json"
    return json.loads(path.read_text())["rows"]


ROWS = {name: _rows(name) for name in ("kombu", "gestalt-20.1.1")}
# Their names for the libraries that a row needs, beside Python's own.
NEEDS = {"yaml": "yaml", "msgpack": "msgpack", "brotli": "brotli", "snappy": "snappy"}
NEEDS |= {"protobuf": "google.protobuf", "avro": "fastavro", "zstd": "zstandard"}


def _params() -> list[Any]:
    return [
        pytest.param(row, id=f"{name}-{row['content_type']}-{row['headers'].get('compression')}")
        for name, rows in ROWS.items()
        for row in rows
    ]


@pytest.mark.parametrize("row", _params())
def test_a_foreign_message_decodes(row: dict[str, Any]) -> None:
    headers = row["headers"]
    declared = f"{row['content_type']} {headers.get('compression')}"
    for part, library in NEEDS.items():
        if part in declared:
            pytest.importorskip(library)
    coding = headers.get("compression") or row["content_encoding"]
    receiver = _receiver(row["content_type"], headers.get("compression"))
    value = receiver.decode(
        base64.b64decode(row["body"]),
        content_type=row["content_type"],
        content_encoding=coding,
        type_id=headers.get("x-type-id"),
    )
    if "protobuf" in row["content_type"]:
        value = {"seconds": value.seconds, "nanos": value.nanos}
    assert value == row["value"]


def _receiver(content_type: str, compression: str | None) -> Codec | Codecs:
    accept = [compression] if compression else []
    if "protobuf" in content_type:
        from google.protobuf.timestamp_pb2 import Timestamp

        types = MessageTypes()
        types.add(7, Timestamp)
        return Codec("protobuf", accept=accept, types=types)
    if "avro" in content_type:
        types = MessageTypes()
        fields = [{"name": "sensor", "type": "string"}, {"name": "value", "type": "double"}]
        types.add(9, Avro({"type": "record", "name": "Reading", "fields": fields}, bare=True))
        return Codec("avro", accept=accept, types=types)
    if content_type == "application/data":
        return Codecs(Codec("json"), Codec("bytes"))
    return Codecs(Codec("bytes"), Codec(content_type, accept=accept))


@dataclass
class Rich:
    moment: datetime
    day: date
    blob: bytes
    name: str
    time: "time | None" = None
    price: Decimal | None = None
    key: UUID | None = None
    text: bytes | None = None


@dataclass
class Letter:
    first: Rich


def _letter_codec(name: str) -> Codec:
    types = MessageTypes()
    types.add(1, Letter)
    return Codec(name, types=types)


@pytest.mark.parametrize("row", _rows("kombu-rich"), ids=lambda row: row["content_type"])
def test_values_that_kombu_wraps_decode_by_their_type(row: dict[str, Any]) -> None:
    if "yaml" in row["content_type"]:
        pytest.importorskip("yaml")
    moment = datetime(2024, 2, 29, 12, 30, 1, 250, tzinfo=UTC)
    rich = Rich(moment, date(2024, 2, 29), b"\x00\xff", "n")
    if "json" in row["content_type"]:
        more = {"time": time(23, 59, 1), "price": Decimal("1.50"), "key": UUID(int=5)}
        rich = Rich(moment, rich.day, rich.blob, "n", **more, text=b"plain")  # type: ignore[arg-type]
    body = base64.b64decode(row["body"])
    assert _letter_codec(row["content_type"]).decode(body) == Letter(rich)


def test_values_that_kombu_wraps_stay_dicts_without_types() -> None:
    body = base64.b64decode(_rows("kombu-rich")[0]["body"])
    first = Codec("json").decode(body)["first"]
    assert first["day"] == {"__type__": "date", "__value__": "2024-02-29"}


@pytest.mark.parametrize(
    ("wrapped", "error"),
    [
        ('{"__type__":"date","__value__":"today"}', ValidationError),
        ('{"__type__":"date","__value__":[]}', ValidationError),
        ('{"__type__":"os.system","__value__":"id"}', ValidationError),
        ('{"__type__":["date"],"__value__":"2024-02-29"}', ValidationError),
        ('{"__type__":"date","__value__":"2024-02-29","more":1}', ValidationError),
        ('{"__type__":"uuid","__value__":{}}', DecodeError),
        ('{"__type__":"uuid","__value__":"x"}', DecodeError),
        ('{"__type__":"bytes","__value__":1}', DecodeError),
        ('{"__type__":"base64","__value__":"x"}', DecodeError),
        ('{"__type__":"base64","__value__":"\u00e9"}', DecodeError),
    ],
)
def test_what_only_looks_like_wrapped_is_refused(wrapped: str, error: type[Exception]) -> None:
    body = f'{{"first":{{"moment":"2024-01-01T00:00:00Z","blob":"","name":"","day":{wrapped}}}}}'
    with pytest.raises(error):
        _letter_codec("json").decode(body.encode())


def test_a_type_that_has_such_fields_itself_comes_back_as_it_is() -> None:
    types = MessageTypes()
    types.add(1, dict[str, str])
    codec = Codec("json", types=types)
    value = {"__type__": "date", "__value__": "2024-02-29"}
    assert codec.decode(codec.encode(value).body) == value
