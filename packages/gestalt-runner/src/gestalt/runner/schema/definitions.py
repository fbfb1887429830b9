"""The definitions of all JSON Schemas of a document, each under one name."""

import math
import re
from collections.abc import Callable
from typing import Any

OWN = "#/$defs/"
SHARED = "#/components/schemas/"

# Words of a schema whose values are schemas by names, and those whose values are none at all.
_BY_NAMES = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs"})
_DATA = frozenset({"const", "default", "enum", "examples"})


class Definitions:
    """Moves the definitions of schemas to where a document has them.

    Attributes:
        schemas: by the names that they have there.
    """

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}
        # As they were given, with all that they refer to: what is the same has one name.
        self._given: dict[str, Any] = {}

    def add(self, schema: Any) -> Any:
        """Take over what is in "$defs" of a schema, and give the schema without them."""
        if not isinstance(schema, dict):
            return schema
        definitions: dict[str, Any] = schema.get("$defs", {})
        names = {name: self._name(name, definitions) for name in definitions}

        def renamed(reference: str) -> str:
            return SHARED + names[reference.removeprefix(OWN)]

        for name, each in definitions.items():
            self.schemas.setdefault(names[name], _rewritten(each, renamed))
        rest = {key: value for key, value in schema.items() if key != "$defs"}
        return _rewritten(rest, renamed)

    def _name(self, name: str, definitions: dict[str, Any]) -> str:
        whole = _reachable(name, definitions)
        plain = found = re.sub(r"[^\w.]+", "_", name, flags=re.ASCII)
        number = 1
        while found in self._given and self._given[found] != whole:
            number += 1
            found = f"{plain}_{number}"
        self._given[found] = whole
        return found


def _reachable(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting = [name]

    def note(reference: str) -> str:
        waiting.append(reference.removeprefix(OWN))
        return reference

    while waiting:
        each = waiting.pop()
        if each not in found:
            found[each] = definitions[each]
            _rewritten(definitions[each], note)
    return found


def _rewritten(schema: Any, renamed: Callable[[str], str]) -> Any:
    """A schema with other references, and without defaults that JSON cannot tell."""
    if isinstance(schema, list):
        return [_rewritten(each, renamed) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _word(key, value, renamed)
        for key, value in schema.items()
        if key != "default" or _is_finite(value)
    }


def _word(key: str, value: Any, renamed: Callable[[str], str]) -> Any:
    if key in _BY_NAMES and isinstance(value, dict):
        return {name: _rewritten(each, renamed) for name, each in value.items()}
    if key in _DATA:
        return value
    if key == "$ref" and isinstance(value, str) and value.startswith(OWN):
        return renamed(value)
    if key == "discriminator" and isinstance(value, dict) and "propertyName" in value:
        # AsyncAPI calls by that word the field alone, and lets classes be told by their titles.
        return value["propertyName"]
    return _rewritten(value, renamed)


def _is_finite(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_finite, value))
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)
