"""Models of pydantic 2, which are told by what they carry: nothing here imports pydantic before the
application has."""

from collections.abc import Callable
from typing import Any

import msgspec

from gestalt.codecs.classes import is_model, names_of
from gestalt.codecs.errors import SchemaError, ValidationError
from gestalt.codecs.reasons import cause_of, fault_of, reason_of
from gestalt.codecs.serializer import Functions
from gestalt.codecs.showing import given
from gestalt.core.numbers import kind_of


def annotated(cls: Any) -> list[tuple[str, Any]]:
    """Give the names in data, and the annotations, of a model's fields; none for other classes."""
    if not is_model(cls):
        return []
    fields = getattr(cls, "__pydantic_fields__", {})
    return [
        (each, field.annotation)
        for name, field in fields.items()
        for each in sorted(names_of(cls)[name])
    ]


def adapter_of(cls: type) -> Any:
    """Give pydantic's adapter of a model.

    Raises:
        SchemaError: the model is not complete: it names a class that does not exist.
    """
    from pydantic import TypeAdapter

    try:
        adapter: Any = TypeAdapter(cls)
        _ = adapter.validator.validate_python, adapter.serializer.to_json  # both, or it raises
    except Exception as error:
        raise SchemaError(f"pydantic refuses {given(cls)}: {reason_of(error)}") from error
    return adapter


def json_functions(name: str, cls: type) -> Functions:
    """Give the functions of a model in JSON."""
    from pydantic_core import ValidationError as Invalid

    adapter = adapter_of(cls)
    write, read = adapter.serializer.to_json, adapter.validator.validate_json
    # pydantic reads NaN, Infinity and numbers beyond a double as well, which is not JSON.
    parse = msgspec.json.Decoder().decode

    def dumps(value: Any) -> bytes:
        return write(value, by_alias=True, warnings="error")  # type: ignore[no-any-return]

    def loads(data: bytes) -> Any:
        parse(data)
        try:
            return read(data)
        except Invalid as error:
            made = invalid(name, error)
            raise made from made.__cause__

    return Functions(dumps, loads)


def to_plain(natives: tuple[type, ...]) -> Callable[[Any], Any]:
    """Make what turns models into plain values, by their aliases, where msgspec asks for it.

    Values of the native classes stay as they are. It raises TypeError for what is no model.
    """

    def plain(value: Any) -> Any:
        from pydantic_core import to_jsonable_python

        rich = _serializer(value).to_python(value, by_alias=True, warnings="error")
        return msgspec.to_builtins(rich, builtin_types=natives, enc_hook=to_jsonable_python)

    return lambda value: plain(_model(value))


def to_json(value: Any) -> Any:
    """Turn a model into what pydantic writes into JSON, where msgspec asks for it.

    Raises:
        TypeError: it is no model.
    """
    model = _model(value)
    return _serializer(model).to_python(model, mode="json", by_alias=True, warnings="error")


def _model(value: Any) -> Any:
    if is_model(type(value)):
        return value
    raise TypeError(f"{kind_of(value)} has no plain form")


def _serializer(value: Any) -> Any:
    return type(value).__pydantic_serializer__


def from_plain(cls: type, value: Any) -> Any:
    """Make a model of plain values, where one is a field of another kind of class; msgspec asks
    for it.

    Raises:
        TypeError: the class is none that can be decoded, and the value is not of it.
    """
    if is_model(cls):
        return validator("pydantic", cls)(value)
    if isinstance(value, cls):
        return value
    raise TypeError(f"Expected `{cls.__name__}`, got `{type(value).__name__}`")


def validator(name: str, cls: type) -> Callable[[Any], Any]:
    """Make the function that turns plain values into a model.

    A strict model takes the strings that stand for datetimes and their like in plain values, as it
    does in JSON.
    """
    from pydantic_core import PydanticSerializationError
    from pydantic_core import ValidationError as Invalid
    from pydantic_core import to_json as as_json

    validate = adapter_of(cls).validator

    def from_plain(value: Any) -> Any:
        try:
            return validate.validate_python(value)
        except Invalid as error:
            first = error
        try:
            return validate.validate_json(as_json(value))
        except Invalid as error:
            made = invalid(name, error)
            raise made from made.__cause__
        except PydanticSerializationError:  # bytes that are no text
            made = invalid(name, first)
            raise made from made.__cause__

    return from_plain


def invalid(name: str, error: Any) -> ValidationError:
    """Turn pydantic's error into ours, with the path of the first field that is wrong."""
    said, path = fault_of(error)
    made = ValidationError(f"{name}: {said}", path)
    made.__cause__ = cause_of(made, error)
    return made
