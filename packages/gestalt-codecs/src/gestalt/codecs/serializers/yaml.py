"""YAML 1.1, by PyYAML and libyaml, confined to plain values."""

from typing import Any

import msgspec
import yaml

from gestalt.codecs.errors import DecodeError, TrailingData
from gestalt.codecs.serializer import Functions, Loads, LoadsOf, Serializer
from gestalt.codecs.serializers.convert import (
    plain_of,
    read_tagged,
    to_plain,
    typed_loads,
    validation_error,
)
from gestalt.codecs.serializers.yaml_guard import Guard, NoAliases
from gestalt.codecs.showing import size_of
from gestalt.codecs.types import MessageType


class Yaml(Serializer):
    """One document of plain values: no aliases, merge keys, directives or tags of applications."""

    textual = True

    def untyped(self) -> Functions:
        return Functions(lambda value: _dumps(to_plain(value)), self._loads())

    def typed(self, kind: MessageType) -> Functions:
        plain = plain_of(kind)
        loads = typed_loads(self.name, kind, self._loads())
        return Functions(lambda value: _dumps(plain(value)), loads)

    def tagged(self, tag: str, loads_of: LoadsOf) -> Loads:
        return read_tagged(self._loads(), tag, loads_of)

    def _loads(self) -> Loads:
        max_depth, max_values = self.max_depth, self.max_values

        def loads(data: bytes) -> Any:
            return Guard(data.decode(), max_depth, max_values).get_single_data()

        return loads

    def explain(self, error: Exception, data: bytes) -> DecodeError:
        if isinstance(error, msgspec.ValidationError):
            return validation_error(self.name, error, data)
        if isinstance(error, yaml.composer.ComposerError) and "single document" in str(error):
            return TrailingData(f"{self.name}: a second document follows in {size_of(data)}")
        return super().explain(error, data)


def _dumps(plain: Any) -> bytes:
    return yaml.dump(plain, Dumper=NoAliases, encoding="utf-8", allow_unicode=True, sort_keys=False)
