"""PyYAML's loader and dumper, without what makes them dangerous or their data grow."""

import re
from typing import Any, Final

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.cyaml import CParser, CSafeDumper  # type: ignore[attr-defined]  # only the stubs hide it
from yaml.resolver import Resolver

from gestalt.codecs.errors import DecodeError, TooDeep, TooLarge

# libyaml compares each %TAG with all before it. A line of it starts after any of these.
_DIRECTIVE: Final = re.compile("(?:\\A|[\r\n\x85\u2028\u2029])\ufeff?%")
_MERGE: Final = "tag:yaml.org,2002:merge"
_VALUE: Final = "tag:yaml.org,2002:value"
_STRING: Final = "tag:yaml.org,2002:str"
_INTEGER: Final = "tag:yaml.org,2002:int"
_NUMBERS: Final = (_INTEGER, "tag:yaml.org,2002:float")
# The cost of converting a number grows with the square of its length, in base 60 above all.
_LONGEST_NUMBER: Final = 1000
# Longer integers could be chosen by the thousand to have one hash value.
_LONGEST_KEY: Final = 20


class Guard(Composer, CParser, SafeConstructor, Resolver):
    """A safe loader that composes nodes in Python, where depth can be counted and aliases refused.

    libyaml's own composer recurses on the C stack, and crashes at some ten thousand levels.
    """

    def __init__(self, text: str, max_depth: int, max_values: int) -> None:
        if _DIRECTIVE.search(text):
            raise DecodeError("yaml: directives (lines that begin with %) are refused")
        CParser.__init__(self, text)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)
        self._left = max_depth
        self._max_values = max_values
        self._values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._values += 1
        if self._values > self._max_values:
            raise TooLarge(f"yaml: more than max_values={self._max_values} values and keys")
        if self.check_event(yaml.AliasEvent):
            raise DecodeError("yaml: aliases (*name) are refused")
        return super().compose_node(parent, index)

    def compose_sequence_node(self, anchor: Any) -> Any:
        self._descend()
        node = super().compose_sequence_node(anchor)
        self._left += 1
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        self._descend()
        node = super().compose_mapping_node(anchor)
        self._left += 1
        return node

    def flatten_mapping(self, node: Any) -> None:
        for key, _ in node.value:
            if key.tag == _MERGE:
                raise DecodeError("yaml: merge keys (<<) are refused")
            if key.tag == _VALUE:
                key.tag = _STRING
            if key.tag == _INTEGER and len(key.value) > _LONGEST_KEY:
                raise DecodeError(f"yaml: integer keys longer than {_LONGEST_KEY} are refused")

    def construct_scalar(self, node: Any) -> Any:
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise DecodeError(f"yaml: numbers longer than {_LONGEST_NUMBER} are refused")
        return super().construct_scalar(node)

    def _descend(self) -> None:
        if not self._left:
            raise TooDeep("yaml: nested deeper than max_depth")
        self._left -= 1


class NoAliases(CSafeDumper):
    """Writes what occurs twice twice, since readers refuse aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - no value is written by reference
        return True
