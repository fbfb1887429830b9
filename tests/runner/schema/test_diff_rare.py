"""Changes of what applications describe themselves, and of documents that others wrote."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gestalt.core.contracts import Channel, MessageShape, Operation, Reply
from gestalt.runner.schema.comparing import compare
from gestalt.runner.schema.document import document_of
from gestalt.runner.schema.report import text_of

from .conftest import Schema

OLD, NEW, PEERS = "old-readers", "new-readers", "peers"
WHOLE = {"type": "integer"}


def shape(name: str, schema: Any = WHOLE, form: str = "", **facts: Any) -> MessageShape:
    content_type = facts.pop("content_type", "application/json")
    return MessageShape(
        name=name, schema=schema, schema_format=form, content_type=content_type, facts=facts
    )


def document(
    *messages: MessageShape,
    answer: Sequence[MessageShape] | None = None,
    answer_facts: Any = None,
    action: Any = "receive",
    **facts: Any,
) -> dict[str, Any]:
    channel = Channel(name="line", address="line", facts=facts)
    back = Channel(name="back", facts=answer_facts or {})
    reply = None if answer is None else Reply(channel=back, messages=answer)
    operation = Operation(action=action, name="it", channel=channel, messages=messages, reply=reply)
    return document_of([operation], title="x", version="1")


def told(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
    return [(f"{e.where}: {e.what}", " ".join(sorted(e.breaks))) for e in compare(old, new)]


ASK, PRICE = shape("Ask"), shape("Price")
AVRO = "application/vnd.apache.avro;version=1.9.0"
PROTOBUF = "application/vnd.google.protobuf;version=3"
DRAFT = "application/schema+json;version=draft-07"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            document(ASK, answer=[PRICE]),
            document(ASK),
            [("reply to Ask: there is none any more", PEERS)],
            id="no reply any more",
        ),
        pytest.param(
            document(ASK),
            document(ASK, answer=[PRICE]),
            [("reply to Ask: there is one now", "")],
            id="a reply",
        ),
        pytest.param(
            document(ASK, shape("More"), answer=[PRICE]),
            document(ASK, answer=[PRICE]),
            [("message More: it is not received any more", NEW)],
            id="what is not asked any more has no reply",
        ),
        pytest.param(
            document(ASK, answer=[PRICE], answer_facts={"compression": "gzip"}),
            document(ASK, answer=[PRICE]),
            [
                ("reply to Ask: bodies were compressed by gzip, and are by nothing", NEW),
            ],
            id="another channel of replies",
        ),
        pytest.param(
            document(ASK, action="send", answer=[PRICE]),
            {**document(), "operations": {}},
            [("channel line: no request is sent there any more", "")],
            id="no requests any more",
        ),
        pytest.param(
            document(shape("Old"), **{"identified-by": "channel"}),
            document(shape("New"), **{"identified-by": "channel"}),
            [("message New: it was called Old", "")],
            id="a name that nobody sees",
        ),
        pytest.param(
            document(shape("A", "{}", AVRO)),
            document(shape("A")),
            [("message A: it was described by avro, and is by JSON Schema", f"{NEW} {OLD}")],
            id="JSON in place of Avro",
        ),
        pytest.param(
            document(shape("A", "{}", AVRO)),
            document(shape("A", "", PROTOBUF)),
            [("message A: it was described by avro, and is by protobuf", f"{NEW} {OLD}")],
            id="Protobuf in place of Avro",
        ),
        pytest.param(
            document(shape("A", WHOLE, DRAFT)),
            document(shape("A")),
            [],
            id="a draft of JSON Schema that is named",
        ),
        pytest.param(
            document(shape("A", tag="kind")),
            document(shape("A", tag="sort")),
            [("message A: the tag of its type is another field now", f"{NEW} {OLD}")],
            id="another tag",
        ),
        pytest.param(
            document(shape("A", content_type="a/b"), accepts=["a/b", "c/d"]),
            document(shape("A", content_type="c/d"), accepts=["a/b", "c/d"]),
            [("message A: its content type was a/b, and is c/d", "")],
            id="another content type that all accept",
        ),
    ],
)
def test_a_change_is_told_with_those_for_whom_it_breaks(
    old: dict[str, Any], new: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert told(old, new) == expected


def test_what_is_compatible_is_told_to_people_as_well() -> None:
    changes = compare(document(ASK), document(ASK, answer=[PRICE]))
    assert text_of(changes, "any") == (
        "Compatible:\n\n  reply to Ask: there is one now\n    on      line\n\n"
        "no incompatible changes, 1 compatible change."
    )
    changes = compare({**document(), "operations": {}}, document(ASK))
    assert "  channel line: it is new: Ask is received there\n\n" in text_of(changes, "any")


def test_a_reference_in_a_circle_leads_nowhere() -> None:
    circle = {
        "asyncapi": "3.0.0",
        "channels": {"a": {"$ref": "#/channels/b"}, "b": {"$ref": "#/channels/a"}},
        "operations": {"get": {"action": "receive", "channel": {"$ref": "#/channels/a"}}},
    }
    assert compare(circle, circle) == []


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("deep.json", "[" * 100_000, "deep.json is nested too deeply"),
        ("deep.yaml", "a: " + "[" * 5_000, "deep.yaml is nested too deeply"),
        ("odd.yaml", "a: [", "odd.yaml is neither JSON nor YAML: "),
    ],
)
def test_a_document_that_cannot_be_read_is_named(
    schema: Schema, tmp_path: Path, name: str, text: str, reason: str
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "new.json").write_text(json.dumps(document(ASK)))
    found = schema("diff", str(tmp_path / name), str(tmp_path / "new.json"))
    assert found.status == 2
    assert reason in found.err
