"""What a datagram endpoint hands to a handler that takes many messages at a time."""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from gestalt.net.address import Address
from gestalt.net.batch import ReceivedBatch, listed
from gestalt.net.errors import SendFailed, SendIncomplete

from .message import DatagramMessage, Replier

T_co = TypeVar("T_co", covariant=True)


class ManyReplier(Replier, Protocol):
    """What a batch asks of the endpoint that received it."""

    def send_many(
        self,
        bodies: Iterable[Any],
        type_id: int | None = None,
        *,
        to: Address | str | None = None,
    ) -> Coroutine[Any, Any, None]:
        """As `DatagramEndpoint.send_many`."""


class DatagramMessageBatch(ReceivedBatch[T_co]):
    """Messages that came as datagrams, in order, and were taken from the system together."""

    __slots__ = ("_endpoint", "_sources")

    _messages: Sequence[DatagramMessage[T_co]]

    def __init__(
        self,
        bodies: Sequence[T_co],
        type_ids: Callable[[], Sequence[int | None]],
        sources: Sequence[Address],
        endpoint: ManyReplier,
    ) -> None:
        super().__init__(bodies, type_ids)
        self._sources = sources
        self._endpoint = endpoint

    def __iter__(self) -> Iterator[DatagramMessage[T_co]]:
        return iter(self._all)

    def __getitem__(self, index: int) -> DatagramMessage[T_co]:
        return self._all[index]

    @property
    def _all(self) -> Sequence[DatagramMessage[T_co]]:
        if not self._messages:
            self._messages = self._make()
        return self._messages

    def _make(self) -> Sequence[DatagramMessage[T_co]]:
        endpoint = self._endpoint
        triples = zip(self._bodies, self._type_ids(), self._sources, strict=True)
        return [
            DatagramMessage(body, type_id, source, endpoint) for body, type_id, source in triples
        ]

    @property
    def sources(self) -> list[Address]:
        return list(self._sources)

    @property
    def source(self) -> Address | None:
        first = self._sources[0]
        return first if all(source == first for source in self._sources) else None

    async def reply_many(self, bodies: Iterable[Any], type_id: int | None = None) -> None:
        """Answer each message: its source is sent the body with its index.

        Raises:
            ValueError: there are not as many bodies as messages.
            TypeError: `bodies` is a single one.
            SendIncomplete: not all of them were sent. It says how many were, and its cause is what
                `send` would have raised; where that is a SendFailed, the system has refused some,
                and was given all others, to whichever source.
        """
        answers = listed(bodies)
        if len(answers) != len(self):
            raise ValueError(f"{len(self)} messages take as many answers, got {len(answers)}")
        sent = 0
        failure: SendIncomplete | None = None
        pairs = zip(self._sources, answers, strict=True)
        for source, several in groupby(pairs, key=itemgetter(0)):
            some = [body for _, body in several]
            try:
                await self._endpoint.send_many(some, type_id, to=source)
            except SendIncomplete as error:
                sent += error.accepted
                # A source that cannot be sent to costs its own answers, and no other's.
                refused = isinstance(error.__cause__, SendFailed)
                if failure is None or not refused:
                    failure = error
                if not refused:
                    break
            else:
                sent += len(some)
        if failure is not None:
            told = f"{sent} of {len(answers)} answers were sent: {failure.__cause__}"
            raise SendIncomplete(told, sent) from failure.__cause__
