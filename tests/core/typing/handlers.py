"""What type checkers are to say of handlers: nothing, but where a line ends in `# error`."""

from collections.abc import Awaitable
from typing import Any, TypeVar, assert_type

from gestalt.core import Call, Handlers, Message, TransportMessage, handles

T = TypeVar("T")


class Event: ...


class Started(Event): ...


class Stopped(Event): ...


class PipeMessage(Message[T], TransportMessage):
    number: int


handlers = Handlers()


@handlers.on(Started)
async def of_its_class(message: Message[Started]) -> int:
    assert_type(message.body, Started)
    return 1


@handlers.on(Started)
def of_one_transport(message: PipeMessage[Started]) -> int:
    return message.number


@handlers.on(Started)
def of_a_base_class(message: Message[Event]) -> None: ...


@handlers.on(Started, Stopped)
def of_several(message: Message[Started | Stopped]) -> None: ...


@handlers.on(Started, Stopped)
def of_the_base_of_several(message: Message[Event]) -> None: ...


@handlers.on(Started)
def of_any_body(message: Message[Any]) -> None: ...


@handlers.on(Started)
def of_anything(message: Any) -> None: ...


@handlers.on(7)
def of_an_identifier(message: Message[bytes]) -> None: ...


@handlers.on(Started, 8)
def of_both(message: Message[Started]) -> None: ...


@handlers.default
def other(message: Message[Any]) -> None: ...


handlers.on(str)(lambda message: message.body.upper())
handlers.on(list)(print)
call = of_its_class(Message(Started()))


@handlers.on(Started)  # error
async def wrong(message: Message[Stopped]) -> None: ...


@handlers.on(Event)  # error
def too_narrow(message: Message[Started]) -> None: ...


@handlers.on(Started, Stopped)  # error
def of_one_of_them(message: Message[Started]) -> None: ...


@handlers.on(Started)  # error
def of_a_body(message: Started) -> None: ...


@handlers.on(Started)  # error
def of_nothing() -> None: ...


@handlers.on("Started")  # error
def by_name(message: Message[Any]) -> None: ...


class Service:
    @handles(Started)
    async def of_its_class(self, message: Message[Started]) -> None: ...

    @handles(Started, Stopped)
    def of_one_transport(self, message: PipeMessage[Started | Stopped]) -> None: ...

    @handles(7)
    def of_an_identifier(self, message: Message[bytes]) -> None: ...

    @handles(default=True)
    def other(self, message: Message[Any]) -> None: ...

    @handles(Started)  # error
    def wrong(self, message: Message[Stopped]) -> None: ...


Handlers(of=Service())
handlers.include(Handlers())


@handlers.use
async def around(message: Message[Any], call: Call) -> Any:
    return await call(message)


@handlers.use  # error
def takes_too_little(message: Message[Any]) -> Awaitable[Any]:
    raise NotImplementedError
