"""What is exported is a document of AsyncAPI, by the schema of those who specify it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.runner.schema.conftest import Schema
from tests.support.asyncapi import NoSchemaError, official_schema
from tests.support.missing import without

TARGETS = (
    "tests.runner.schema.everything:app",
    "examples.telemetry.contract:collector",
    "examples.telemetry.contract:agent",
    "examples.telemetry.contract:alerter",
    "tests.runner.schema.hostile:app",
)


@pytest.fixture(scope="module")
def validator(request: pytest.FixtureRequest) -> Any:
    try:
        return jsonschema.Draft7Validator(official_schema())
    except NoSchemaError as error:
        without(request.config, str(error))


@pytest.mark.parametrize("target", TARGETS)
def test_a_document_is_one_of_asyncapi(schema: Schema, validator: Any, target: str) -> None:
    document = schema("export", target).json
    errors = [
        f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)
    ]
    assert errors == []


def test_the_schema_finds_what_is_wrong(schema: Schema, validator: Any) -> None:
    document = schema("export", TARGETS[0]).json
    document["operations"]["receive-server"]["action"] = "take"
    assert not validator.is_valid(document)


@pytest.mark.parametrize("target", TARGETS)
def test_every_reference_leads_somewhere(schema: Schema, target: str) -> None:
    document = schema("export", target).json

    def references(part: Any) -> Any:
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if key == "$ref":
                yield value
            elif isinstance(value, dict | list):
                yield from references(value)

    found = set(references(document))
    for reference in found:
        part = document
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
    assert found


def test_a_file_holds_what_is_printed_and_json_alone_whatever_the_names(
    schema: Schema, tmp_path: Path
) -> None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    printed = schema("export", "tests.runner.schema.hostile:app").out
    json.loads(printed, parse_constant=refuse)
    assert not set(printed) & set("\x1b\x07\x7f\x85\x9b\ufffd\ud800")
    for form in ("json", "md"):
        schema("export", "tests.runner.schema.hostile:app", "--output", str(tmp_path / f"x.{form}"))
    assert (tmp_path / "x.json").read_text("utf-8") == printed
    assert not set((tmp_path / "x.md").read_text("utf-8")) & set("\x1b\x07\x85\x9b")
    assert schema("diff", str(tmp_path / "x.json"), "tests.runner.schema.hostile:app").status == 0


def test_yaml_says_the_same(schema: Schema, tmp_path: Path) -> None:
    import yaml

    output = tmp_path / "api.yml"
    assert schema("export", TARGETS[0], "--output", str(output)).status == 0
    again = schema("export", TARGETS[0])
    assert yaml.safe_load(output.read_text()) == json.loads(again.out)
