"""From a target to the components that it is made of, none of which is started."""

import gc
import inspect
import logging
from collections import deque
from collections.abc import Iterable
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any, cast

from gestalt.core import Component, GestaltError, Supervisor
from gestalt.core.contracts import ContractError, Operation, read
from gestalt.runner.errors import OptionError
from gestalt.runner.parts import as_part
from gestalt.runner.targets import find

MOST = 1_000_000
"""How many objects are looked at."""

# What holds nothing, and what is common to all objects, which leads out of the application.
_LEFT_OUT = (
    *(str, bytes, bytearray, int, float, complex, bool, type(None)),
    *(type, ModuleType, CodeType, FrameType, BuiltinFunctionType),
    # Its handlers may keep whatever was logged.
    logging.Logger,
)


def operations_of(targets: Iterable[str], folder: str) -> list[Operation]:
    """What the application that targets name exchanges with others.

    Args:
        targets: as `gestalt run` has them.
        folder: where modules are looked for first; the working directory when it is empty.

    Raises:
        OptionError: a target names nothing that can be described.
        ContractError: what it exchanges cannot be told, or is nothing.
    """
    roots = [_made(target, folder) for target in targets]
    components = _components(roots)
    found = [operation for component in components for operation in read(component)]
    if not found:
        raise ContractError(
            "there is nothing to describe: of what the target holds, nothing exchanges messages "
            "that is known before it runs; declare subscriptions and services before the start, "
            "as by @bus.subscriber and @bus.responder"
        )
    return found


def _made(target: str, folder: str) -> Component:
    """The component that a target names, or that the function makes that it names."""
    found = find(target, folder)
    if inspect.iscoroutinefunction(found) or inspect.iscoroutine(found):
        raise _later(f"{target!r} is an async function", found)
    try:
        as_part(found)
    except TypeError as error:
        raise OptionError(f"{target!r}: {error}") from None
    if isinstance(found, Component):
        return found
    made = found()
    if inspect.isawaitable(made):
        raise _later(f"{target!r} returns an awaitable", made)
    if not isinstance(made, Component):
        raise OptionError(
            f"{target!r} must make a component to be described, and made an object of type "
            f"{type(made).__name__}"
        )
    return made


def _later(what: str, found: object) -> OptionError:
    """Why what is to be awaited first is not described."""
    _give_up(found)
    return OptionError(
        f"{what}: what it makes is not known before it runs; name a component, a group of them, or "
        "a plain function that makes one"
    )


def _give_up(found: object) -> None:
    """It will never be awaited, and nothing is to warn of that."""
    if inspect.iscoroutine(found):
        found.close()


def _components(roots: Iterable[Component]) -> list[Component]:
    """All components that are held by these: as parts, in attributes, in closures of handlers.

    In the order in which they are found, level by level.
    """
    found: list[Component] = []
    seen: set[int] = set()
    # What is kept here is kept alive, so that no identity comes twice.
    waiting: deque[object] = deque(roots)
    held: list[object] = []
    while waiting:
        each = waiting.popleft()
        # By its type, since a proxy may answer for what is not there yet.
        if id(each) in seen or issubclass(type(each), _LEFT_OUT):
            continue
        if len(seen) >= MOST:
            raise ContractError(
                f"the target holds more than {MOST:,} objects: name a function that makes the "
                "application without its data"
            )
        seen.add(id(each))
        held.append(each)
        if issubclass(type(each), Component):
            found.append(cast(Component, each))
        if issubclass(type(each), Supervisor):
            waiting.extend(_children(cast(Supervisor, each)))
        waiting.extend(_held_by(each))
    return found


def _held_by(each: object) -> Iterable[object]:
    if isinstance(each, FunctionType):
        # Not the module, which holds whatever else it has.
        cells = [cell.cell_contents for cell in each.__closure__ or () if not _empty(cell)]
        return [*cells, *(each.__defaults__ or ()), *vars(each).values()]
    if isinstance(each, dict):
        return list(each.values())
    if isinstance(each, (list, tuple)):
        return each
    try:
        attributes = object.__getattribute__(each, "__dict__")
    except AttributeError:
        attributes = None
    # Attributes in the order in which they were set, then what else there is.
    first = attributes.values() if isinstance(attributes, dict) else ()
    return [*first, *gc.get_referents(each)]


def _empty(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return True
    return False


def _children(supervisor: Supervisor) -> list[Component]:
    """What the functions among a supervisor's children make."""
    made = []
    for make in supervisor.factories:
        name = getattr(make, "__name__", type(make).__name__)
        try:
            child = make()
        except GestaltError as error:
            raise ContractError(
                f"{supervisor.name!r} makes its child {name!r} of what runs by then, so that what "
                f"that exchanges is not known before: {error}; name another target, such as a "
                "function that makes the same parts with fixed addresses"
            ) from error
        if inspect.isawaitable(child):
            _give_up(child)
            raise ContractError(
                f"{supervisor.name!r} makes its child {name!r} by an async function, so that what "
                "that exchanges is not known before it runs"
            )
        made.append(child)
    return made
