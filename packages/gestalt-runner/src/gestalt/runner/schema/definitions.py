"""The definitions of all JSON Schemas of a document, each under one name."""

import re
from collections.abc import Callable
from typing import Any

OWN = "#/$defs/"
SHARED = "#/components/schemas/"


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
        plain = found = re.sub(r"[^\w.]+", "_", name)
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
    """A schema with other references, also in the mapping of a discriminator."""
    if isinstance(schema, list):
        return [_rewritten(each, renamed) for each in schema]
    if not isinstance(schema, dict):
        return renamed(schema) if isinstance(schema, str) and schema.startswith(OWN) else schema
    # AsyncAPI calls by that word the field alone, and lets classes be told by their titles.
    return {
        key: value["propertyName"]
        if key == "discriminator" and isinstance(value, dict) and "propertyName" in value
        else _rewritten(value, renamed)
        for key, value in schema.items()
    }
