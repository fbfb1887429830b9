"""What kombu 5.3 and later writes into JSON for values that JSON has no form of."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any, Final

MARK: Final = b'"__type__"'
_KEYS: Final = {"__type__", "__value__"}
_WRAPPED: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("datetime", "date", "time", "decimal"), lambda value: value),
    "uuid": lambda value: value["hex"],
    "bytes": str.encode,
    "base64": b64decode,
}


def unwrap(value: Any) -> Any:
    """Replace `{"__type__": ..., "__value__": ...}` by what is wrapped, wherever it occurs.

    Strings stay strings: whether one is a datetime says the type that the receiver expects.
    """
    if isinstance(value, list):
        return [unwrap(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == _KEYS and isinstance(value["__type__"], str):
        plain = _WRAPPED.get(value["__type__"])
        if plain is not None:
            return plain(value["__value__"])
    return {key: unwrap(each) for key, each in value.items()}
