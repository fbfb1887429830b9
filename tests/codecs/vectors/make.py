"""Makes kombu.json, kombu-rich.json and gestalt-20.1.1.json: messages as those packages write them.

    python -m venv old
    old/bin/pip install 'gestalt[protobuf,msgpack,avro,yaml,brotli,snappy]==20.1.1' \
        kombu==5.7.0 msgpack pyyaml brotli backports.zstd
    old/bin/python tests/codecs/vectors/make.py

The published gestalt 20.1.1 has the name of this project's namespace: it needs its own environment.
"""

import base64
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import kombu.compression
import kombu.serialization
from gestalt.amq.utils import encode_payload
from gestalt.serialization import registry
from google.protobuf.timestamp_pb2 import Timestamp

HERE = Path(__file__).parent
VALUE = {"name": "smörgås", "track": [1.5, 2, None, True], "nested": {"x": ["y" * 50] * 20}}
AVRO = {
    "type": "record",
    "name": "Reading",
    "fields": [{"name": "sensor", "type": "string"}, {"name": "value", "type": "double"}],
}


def row(body, content_type, content_encoding, headers, value):
    return {
        "content_type": content_type,
        "content_encoding": content_encoding,
        "headers": headers,
        "body": base64.b64encode(body).decode(),
        "value": value,
    }


def by_kombu():
    for name in ("json", "yaml", "msgpack"):
        for compression in (None, *sorted(kombu.compression.encoders())):
            content_type, encoding, body = kombu.serialization.dumps(VALUE, name)
            body = body.encode() if isinstance(body, str) else body
            headers = {}
            if compression:
                body, headers["compression"] = kombu.compression.compress(body, compression)
            yield row(body, content_type, encoding, headers, VALUE)
    content_type, encoding, body = kombu.serialization.dumps("smörgås")
    yield row(body, content_type, encoding, {}, "smörgås")


def by_kombu_of_rich_values():
    moment = datetime(2024, 2, 29, 12, 30, 1, 250, tzinfo=UTC)
    rich = {"moment": moment, "day": date(2024, 2, 29), "blob": b"\x00\xff", "name": "n"}
    more = {"time": time(23, 59, 1), "price": Decimal("1.50"), "key": UUID(int=5), "text": b"plain"}
    # YAML has no form of what is in `more`, as kombu sees it.
    for name, value in (("json", {**rich, **more}), ("yaml", rich)):
        content_type, encoding, body = kombu.serialization.dumps({"first": value}, name)
        yield row(body.encode(), content_type, encoding, {}, None)


def by_gestalt():
    compressions = ["gzip", "bzip2", "lzma", "brotli", "snappy", "zlib", "deflate"]
    for content_type in ("application/json", "application/yaml", "application/msgpack"):
        for compression in (None, *compressions):
            headers = {}
            body, declared, encoding = encode_payload(
                VALUE, content_type=content_type, compression=compression, headers=headers
            )
            yield row(body, declared, encoding, headers, VALUE)
    headers = {}
    body, declared, encoding = encode_payload("smörgås", content_type="text/plain", headers=headers)
    yield row(body, declared, encoding, headers, "smörgås")

    stamp = Timestamp(seconds=1577836800, nanos=5)
    registry.get_serializer("application/vnd.google.protobuf").registry.register_message(stamp, 7)
    headers = {}
    body, declared, encoding = encode_payload(
        stamp, content_type="application/vnd.google.protobuf", compression="zlib", headers=headers
    )
    yield row(body, declared, encoding, headers, {"seconds": 1577836800, "nanos": 5})

    reading = {"sensor": "öst", "value": 2.5}
    registry.get_serializer("application/x-avro").registry.register_message(AVRO, 9)
    headers = {}
    body, declared, encoding = encode_payload(
        reading, content_type="application/x-avro", headers=headers, type_identifier=9
    )
    yield row(body, declared, encoding, headers, reading)


for name, rows in (
    ("kombu", by_kombu()),
    ("kombu-rich", by_kombu_of_rich_values()),
    ("gestalt-20.1.1", by_gestalt()),
):
    (HERE / f"{name}.json").write_text(json.dumps({"rows": list(rows)}, indent=1) + "\n")
