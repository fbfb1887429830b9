"""YAML 1.1, by PyYAML and libyaml, confined to plain values."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from gestalt.codecs.errors import DecodeError, TrailingData, short
from gestalt.codecs.serializer import Functions, Serializer
from gestalt.codecs.serializers.convert import to_plain, validation_error
from gestalt.codecs.serializers.yaml_guard import Guard, NoAliases
from gestalt.codecs.types import MessageType


class Yaml(Serializer):
    """One document of plain values: no aliases, merge keys, directives or tags of applications."""

    textual = True

    def untyped(self) -> Functions:
        max_depth = self.max_depth

        def loads(data: bytes) -> Any:
            return Guard(data.decode(), max_depth).get_single_data()

        return Functions(_dumps, loads)

    def typed(self, kind: MessageType) -> Functions:
        if kind.format is not None:
            return super().typed(kind)
        dumps, loads = self.untyped()
        convert, cls = msgspec.convert, kind.type

        def typed_loads(data: bytes) -> Any:
            return convert(loads(data), cls)

        return Functions(dumps, typed_loads)

    def explain(self, error: Exception, data: bytes) -> DecodeError:
        if isinstance(error, msgspec.ValidationError):
            return validation_error(self.name, error, data)
        if isinstance(error, yaml.composer.ComposerError) and "single document" in str(error):
            return TrailingData(f"{self.name}: a second document follows in {short(data)}")
        return super().explain(error, data)


def _dumps(value: Any) -> bytes:
    return yaml.dump(
        to_plain(value), Dumper=NoAliases, encoding="utf-8", allow_unicode=True, sort_keys=False
    )
