"""The types of method fields, as annotations that the codec reads."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeAlias

from gestalt.amq.wire.tables import FieldValue

Bit: TypeAlias = Annotated[bool, "bit"]
Octet: TypeAlias = Annotated[int, "octet"]
Short: TypeAlias = Annotated[int, "short"]
Long: TypeAlias = Annotated[int, "long"]
LongLong: TypeAlias = Annotated[int, "longlong"]
ShortStr: TypeAlias = Annotated[str, "shortstr"]
LongStr: TypeAlias = Annotated[bytes, "longstr"]
Fields: TypeAlias = Annotated[Mapping[str, FieldValue], "table"]

EMPTY: Mapping[str, FieldValue] = MappingProxyType({})
