"""The page for people that `gestalt schema export --format markdown` writes."""

import re

import pytest

from gestalt.runner.schema.document import document_of
from gestalt.runner.schema.finding import operations_of
from gestalt.runner.schema.writing import text_of

from .conftest import Write


def page_of(target: str) -> str:
    return text_of(document_of(operations_of([target], ""), title="All", version="1"), "markdown")


@pytest.fixture(scope="module")
def page() -> str:
    return page_of("tests.runner.schema.everything:app")


def test_each_link_leads_to_one_heading(page: str) -> None:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    targets = [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert {targets.count(link) for link in links} == {1}


def section(page: str, heading: str) -> str:
    return page.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]


def test_types_of_one_name_are_told_apart(page: str) -> None:
    assert "| messages | [Position](#message-position)" in section(page, "All of it (receive)")
    assert "| messages | [Position](#message-position-2)" in section(page, "send-client")
    assert "told by the field" not in section(page, "message Position")
    assert "| told by the field | `kind` |" in section(page, "message Position (2)")


def test_what_answers_a_request_is_told(page: str) -> None:
    assert "| answered by | [Ticket](#message-ticket-2) |" in section(page, "request-prices")
    assert "| answered by | a stream of [Ticket]" in section(page, "serve-tickets-Stop")


def test_a_schema_of_another_kind_stands_as_it_is(page: str) -> None:
    assert '```protobuf\nsyntax = "proto3";' in section(page, "message google.protobuf.Struct")
    assert '```json\n{\n  "type": "record",' in section(page, "message acme.Reading")


OWN = """
    from gestalt.core import Component
    from gestalt.core.contracts import Channel, MessageShape, Operation, Reply, describes
    class Bridge(Component):
        @describes
        def _frames(self):
            can = Channel(name="can0", address="can0", facts={"loop-back": True})
            yield Operation(action="send", name="frames", channel=can, messages=MESSAGES,
                            reply=Reply(channel=can))
        async def _open(self): ...
        async def _close(self): ...
    app = Bridge()
"""


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (True, "anything"),
        ({"const": 5}, "`5`"),
        ({"type": "array"}, "array"),
        ({"type": "array", "items": True}, "array of anything"),
        ({"type": "array", "prefixItems": [{"type": "null"}, {}]}, "array of null, anything"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer"),
        ({"oneOf": [{"type": "null"}, {"type": ["string", "array"]}]}, "null or string or array"),
        ({"allOf": [{"type": "object"}, {"enum": ["a"]}]}, "object and `'a'`"),
        ({"type": "string", "format": "date"}, "string (date)"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "[frame](#message-frame)"),
    ],
)
def test_a_value_is_told_in_a_few_words(write: Write, schema: object, words: str) -> None:
    shape = f'MessageShape(name="frame", schema={schema!r}, description="*A* frame_.")'
    page = page_of(f"{write(OWN, MESSAGES=f'[{shape}]')}:app")
    message = section(page, "message frame")
    assert message.startswith("\n\\*A\\* frame\\_.\n")
    assert f"\nA value: {words}.\n" in message


def test_an_application_without_servers_and_messages_has_a_page(write: Write) -> None:
    page = page_of(f"{write(OWN, MESSAGES='[]')}:app")
    assert re.findall(r"^#+ .+$", page, re.MULTILINE) == ["# All", "## Sends", "### frames"]
    assert "| messages | unknown |\n| answered by | unknown |\n| loop back | yes |" in page


def test_a_default_that_json_cannot_tell_is_left_out(write: Write) -> None:
    defaults = {"a": [1.5, float("inf")], "b": [1.5], "c": {"d": 2}}
    fields = {name: {"type": "array", "default": each} for name, each in defaults.items()}
    shape = f'MessageShape(name="frame", schema={{"properties": {fields}}})'.replace("inf", "1e999")
    message = section(page_of(f"{write(OWN, MESSAGES=f'[{shape}]')}:app"), "message frame")
    assert "| `a` | array | no |  |\n| `b` | array | no | `[1.5]` |" in message
    assert "| `c` | array | no | `{'d': 2}` |" in message


def test_classes_of_one_name_are_two_schemas(write: Write) -> None:
    schema = {"properties": {"to": {"$ref": "#/$defs/Leg"}}, "$defs": {"Leg": {"type": "string"}}}
    other = {**schema, "$defs": {"Leg": {"type": "null"}}}
    shapes = ", ".join(
        f"MessageShape(name={name!r}, schema={each})"
        for name, each in [("a", schema), ("b", other)]
    )
    page = page_of(f"{write(OWN, MESSAGES=f'[{shapes}]')}:app")
    assert "[Leg](#schema-leg)" in section(page, "message a")
    assert "[Leg_2](#schema-leg_2)" in section(page, "message b")
    assert section(page, "schema Leg_2") == "\nA value: null.\n"
