"""What the formats with plain values share: rich values become plain ones and back, by msgspec."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from gestalt.codecs.errors import ValidationError, short

_PATH: Final = re.compile(r" - at `(\$[^`]*)`$")


def to_plain(value: Any) -> Any:
    """Turn a value into what JSON has, and bytes."""
    return msgspec.to_builtins(value, builtin_types=(bytes,))


def validation_error(name: str, error: msgspec.ValidationError, data: bytes) -> ValidationError:
    """Turn msgspec's error into ours, with the path of the field."""
    reason = str(error)
    found = _PATH.search(reason)
    path = found[1] if found else "$"
    if found:
        reason = reason[: found.start()]
    return ValidationError(f"{name}: {reason}, at {path} in {short(data)}", path)
