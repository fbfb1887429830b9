"""What a subclass calls its own things is its own affair."""

import asyncio
from typing import Any

import pytest

from gestalt.core import Component, State


class Base(Component):
    async def _open(self) -> None:
        self._spawn(asyncio.Event().wait())

    async def _close(self) -> None:
        pass


WORDS = [
    "begin",
    "begin_end",
    "begin_start",
    "conclude",
    "context",
    "deadline",
    "draining",
    "end",
    "ending",
    "error",
    "escalate",
    "life",
    "report",
    "limit",
    "opening",
    "owns_current_task",
    "run_drain",
    "run_open",
    "settle",
    "state",
    "stop_error",
    "stop_errors",
    "task_done",
    "tasks",
    "wait_ended",
    "waiter",
    "waiters",
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("prefix", ["_", "__"])
async def test_attributes_of_a_subclass_do_not_change_its_life(word: str, prefix: str) -> None:
    component = Base()
    setattr(component, prefix + word, {"vehicles": 0})
    async with component:
        assert component.state is State.RUNNING
    assert component.state is State.STOPPED
    assert getattr(component, prefix + word) == {"vehicles": 0}


@pytest.mark.parametrize("word", WORDS)
async def test_methods_of_a_subclass_do_not_change_its_life(word: str) -> None:
    def method(self: object, *arguments: Any) -> Any:
        pytest.fail("Component called a method that it does not know")

    cls = type("Sub", (Base,), {f"_{word}": method})
    async with cls() as component:
        assert component.state is State.RUNNING
    assert component.state is State.STOPPED


async def test_a_subclass_may_have_the_name_of_its_base() -> None:
    class Component(Base):
        def __init__(self) -> None:
            super().__init__()
            self.__state = "mine"
            self.__tasks = [1]

        def mine(self) -> tuple[str, list[int]]:
            return self.__state, self.__tasks

    async with Component() as component:
        assert component.state is State.RUNNING
    assert component.mine() == ("mine", [1])


async def test_a_subclass_whose_init_calls_no_other_runs_all_the_same() -> None:
    class Forgetful(Base):
        def __init__(self) -> None:
            self.queue: list[int] = []

    async with Forgetful() as component:
        assert repr(component) == "<Forgetful 'Forgetful' running>"
    assert component.state is State.STOPPED


@pytest.mark.parametrize("name", ["_spawn", "_fail", "_report_error", "state"])
def test_what_a_component_provides_is_not_replaced_by_a_subclass(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Sub must not define {name}: .* take another name"):
        type("Sub", (Base,), {name: lambda self: None})


@pytest.mark.parametrize("name", ["_spawn", "_fail", "_report_error"])
def test_what_a_component_provides_is_not_replaced_on_an_object(name: str) -> None:
    component = Base()
    with pytest.raises(AttributeError, match=rf"Base must not set {name}: .* take another name"):
        setattr(component, name, None)


@pytest.mark.parametrize("name", ["_open", "_drain", "_close", "start", "stop"])
def test_a_step_that_is_not_async_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Sub\.{name} must be an async method"):
        type("Sub", (Base,), {name: lambda self: None})
