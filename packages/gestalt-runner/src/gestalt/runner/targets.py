"""From `module:attribute` to what it names."""

import importlib
import sys
from pathlib import Path
from typing import Any

from .errors import OptionError
from .parts import as_part


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
        raise OptionError(f"{target!r}: {error}") from None
    return found


def find(target: str, folder: str) -> Any:
    """What `module:attribute` names, whatever it is.

    Args:
        target: the module and the attribute, with a colon between.
        folder: where modules are looked for first; the working directory when it is empty.

    Raises:
        OptionError: there is no such module or attribute.
    """
    module_name, _, attribute = target.partition(":")
    if module_name.endswith(".py") or "/" in module_name:
        raise OptionError(f"{target!r} names a file: name its module, as in 'app:main' for app.py")
    names = [*module_name.split("."), *attribute.split(".")]
    if not all(name.isidentifier() for name in names):
        raise OptionError(f"{target!r} is not of the form module:attribute")
    here = str(Path(folder).resolve()) if folder else str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # An import that fails inside the module is the module's error, with its traceback.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise OptionError(
            f"{target!r}: there is no module {error.name!r}, looked for from {here}"
        ) from None
    owner = f"module {module_name!r}"
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise OptionError(f"{target!r}: {owner} has no attribute {name!r}") from None
        owner = repr(name)
    return found
