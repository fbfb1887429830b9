"""Messages that kombu and gestalt 20.1.1 wrote, given their properties and headers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from gestalt.codecs import Avro, Codec, Codecs, MessageTypes

ROWS = {
    name: json.loads((Path(__file__).parent / "vectors" / f"{name}.json").read_text())["rows"]
    for name in ("kombu", "gestalt-20.1.1")
}
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
