"""From `module:attribute` to what it names."""

import importlib
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from gestalt.core.masking import masked

from .errors import OptionError
from .parts import as_part
from .report import report_error


class ImportFailed(SystemExit):
    """A module of the application cannot be imported, which is reported."""


def load(target: str, folder: str) -> Any:
    """What a target names, which `run` can take.

    Args:
        target: the module and the attribute, with a colon between.
        folder: where modules are looked for first; the working directory when it is empty.

    Raises:
        OptionError: there is no such module or attribute, or it cannot be run.
    """
    found = find(target, folder)
    try:
        as_part(found)
    except TypeError as error:
        raise OptionError(f"{masked(target)}: {error}") from None
    return found


def find(target: str, folder: str) -> Any:
    """What `module:attribute` names, whatever it is.

    Args:
        target: the module and the attribute, with a colon between.
        folder: where modules are looked for first; the working directory when it is empty.

    Raises:
        OptionError: there is no such module or attribute.
        ImportFailed: the module cannot be imported.
    """
    module_name, _, attribute = target.partition(":")
    if module_name.endswith(".py") or "/" in module_name:
        raise OptionError(
            f"{masked(target)} names a file: name its module, as in 'app:main' for app.py"
        )
    names = [*module_name.split("."), *attribute.split(".")]
    if not all(name.isidentifier() for name in names):
        raise OptionError(f"{masked(target)} is not of the form module:attribute")
    here = str(Path(folder).resolve()) if folder else str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise OptionError(
                f"{masked(target)}: there is no module {missing!r}, looked for from {here}"
            ) from None
        # An error of the module itself, which is to be read without the way to it.
        error.__traceback__ = _beyond_import(error.__traceback__)
        report_error(f"the module {module_name!r} cannot be imported", error)
        raise ImportFailed(1) from error
    owner = f"module {module_name!r}"
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise OptionError(f"{masked(target)}: {owner} has no attribute {name!r}") from None
        owner = repr(name)
    return found


def _beyond_import(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame on that is neither of this package nor of an import."""
    while traceback is not None:
        name = str(traceback.tb_frame.f_globals.get("__name__"))
        own = __name__.rpartition(".")[0]
        if not name.startswith((f"{own}.", "importlib", "_frozen_importlib")):
            break
        traceback = traceback.tb_next
    return traceback
