"""What an error of a library says, without the values that it quotes: they may be secret."""

import re
from types import TracebackType
from typing import Any, Final

from .showing import printable, readable, step_of

_LONGEST: Final = 300

# These quote what they were given. Others name types and positions alone.
_QUOTING: Final = ("yaml", "fastavro", "pydantic_core")

_ENUM: Final = re.compile(r"^Invalid (?:enum )?value .*?( - at `\$[^`]*`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"^(.* unknown field) `(.*?)`( - at `\$[^`]*`)?$", re.DOTALL)
_NO_MATCH: Final = re.compile(r".* \(type <class '([\w.]+)'>\) do not match (.*)$", re.DOTALL)
_NO_DEFAULT: Final = re.compile(r"^no value and no default for \w+$")
_FIELD: Final = re.compile(r"field_name='(\w+)'")


def reason_of(error: BaseException) -> str:
    """Give what an error says, or else its class: printable, without the values that a library
    quotes, and cut to a length that fits into another error's sentence."""
    try:
        reason = printable(_said(error))
    except Exception:
        reason = ""
    if len(reason) > _LONGEST:
        reason = f"{reason[:_LONGEST]}..."
    return reason or type(error).__name__


def cause_of(made: BaseException, error: BaseException) -> BaseException | None:
    """Give what is chained to an error that was made of a library's.

    It is the library's own, unless that quotes values: a traceback shows them. Then it is what
    the application's code raised within the library, where it did.
    """
    if made is error.__cause__:
        return made.__cause__
    if not _quotes(error):
        return error
    inner = _application_error(error)
    return None if inner is None or _quotes(inner) else inner


def _said(error: BaseException) -> str:
    library = _library(error)
    if library == "msgspec":
        cause = error.__cause__
        if cause is not None and _library(cause) in _QUOTING:
            # Of the application's own code, which msgspec calls: all that it says is its cause's.
            return _said(cause)
        return _of_msgspec(str(error))
    if library == "yaml":
        return _of_yaml(error)
    if library == "fastavro":
        return _of_fastavro(error)
    if library == "pydantic_core":
        return _of_pydantic(error)
    return str(error)


def _quotes(error: BaseException) -> bool:
    library = _library(error)
    return library in _QUOTING or (library == "msgspec" and _said(error) != str(error))


def _library(error: BaseException) -> str:
    """The library that has raised an error, by its class or else by where it was raised."""
    if isinstance(error, UnicodeError):
        return ""  # it shows one character at most
    of_class = type(error).__module__.partition(".")[0]
    if of_class in ("msgspec", *_QUOTING):
        return of_class
    trace: TracebackType | None = error.__traceback__
    where = ""
    while trace is not None:
        where = trace.tb_frame.f_globals.get("__name__", "")
        trace = trace.tb_next
    return where.partition(".")[0]


def _application_error(error: Any) -> BaseException | None:
    if _library(error) != "pydantic_core" or not hasattr(error, "errors"):
        return error.__cause__  # type: ignore[no-any-return]
    for fault in error.errors(include_url=False, include_input=False):
        inner = fault.get("ctx", {}).get("error")
        if isinstance(inner, BaseException):
            return inner
    return None


def _of_msgspec(text: str) -> str:
    if found := _ENUM.match(text):
        return f"Invalid value{found[1] or ''}"
    if (found := _UNKNOWN.match(text)) and readable(found[2])[0] != "'":
        return f"{found[1]} {readable(found[2])}{found[3] or ''}"
    return text


def _of_yaml(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"malformed at line {mark.line + 1}, column {mark.column + 1}"
    position = getattr(error, "position", None)
    if position is not None:
        return f"a character that YAML does not have, at position {position}"
    if type(error).__name__ == "RepresenterError":
        return "it has no form in YAML"
    return type(error).__name__


def _of_fastavro(error: BaseException) -> str:
    text = str(error)
    if found := _NO_MATCH.match(text):
        return f"an object of type {found[1]} does not match {found[2]}"
    # Python says of which type something is, not what.
    if _NO_DEFAULT.match(text) or isinstance(error, TypeError | OverflowError | EOFError):
        return text
    return type(error).__name__


def _of_pydantic(error: Any) -> str:
    if hasattr(error, "errors"):
        return fault_of(error)[0]
    text = str(error)
    if "input_value=" not in text:
        return text
    field = _FIELD.search(text)
    return "a value is not of the type of its field" + (f" {field[1]}" if field else "")


def fault_of(error: Any) -> tuple[str, str]:
    """Give what is the first fault that pydantic has found, and the path to it."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    first = faults[0]
    path = "$" + "".join(
        f"[{step}]" if isinstance(step, int) else step_of(step) for step in first["loc"]
    )
    said = first["msg"]
    if first["type"] == "union_tag_invalid":
        said = "The tag is none of those expected"
    others = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"{said}, at {path}{others}", path
