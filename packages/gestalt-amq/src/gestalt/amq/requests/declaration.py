"""What a responder is to be, as plain data: known before there is a connection."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self, TypedDict

from gestalt.codecs import Codec, Codecs
from gestalt.core import Handler
from gestalt.core.numbers import kind_of
from gestalt.core.options import check_options


class RespondOptions(TypedDict, total=False):
    """What a responder may be told by name; ResponderDeclaration has the defaults.

    Attributes:
        codec: in place of the bus's own; several, to serve callers that speak differently, each
            of which is answered in its own.
        version: what the service says of itself when asked.
        description: the same.
        concurrency: how many async handlers run at once (100); further requests wait.
        timeout: for an async handler, in seconds (1500), where its caller gives no earlier
            deadline.
        errors: classes of exceptions that belong to the service, such as one for what is not
            there: the caller is told, and it is no failure, which would be logged.
        send_traceback: callers are sent the tracebacks of handlers that raise.
        stop_timeout: how long a stop waits for running handlers, in seconds; that of the bus by
            default.
    """

    codec: Codec | Codecs | Sequence[Codec] | None
    version: str
    description: str
    concurrency: int
    timeout: float
    errors: Sequence[type[Exception]]
    send_traceback: bool
    stop_timeout: float | None


@dataclass(frozen=True, slots=True)
class ResponderDeclaration:
    """Which service goes to which handler, and how.

    Args:
        service: the name of the service.
        handler: takes each request.

    The others are those of RespondOptions, which says what they mean.

    Raises:
        ValueError: a number is out of its range.
        TypeError: the handler cannot be called.
    """

    service: str
    handler: Handler
    _: KW_ONLY
    codec: Sequence[Codec] = ()
    version: str = ""
    description: str = ""
    concurrency: int = 100
    timeout: float = 1500.0
    errors: tuple[type[Exception], ...] = ()
    send_traceback: bool = False
    stop_timeout: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.handler):
            raise TypeError(f"a handler is a function or Handlers, got {kind_of(self.handler)}")
        if self.concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {self.concurrency}")
        if not self.timeout > 0:
            raise ValueError(f"timeout must be above 0, got {self.timeout}")
        given: Sequence[object] = self.errors
        for each in given:
            if not (isinstance(each, type) and issubclass(each, Exception)):
                raise TypeError(f"errors are classes of exceptions, got {kind_of(each)}")

    @classmethod
    def of(cls, service: str, handler: Handler, options: RespondOptions) -> Self:
        """Read what an application gives.

        Raises:
            TypeError: there is no such option.
            ValueError, TypeError: as the class has them.
        """
        check_options("a responder", options, RespondOptions)
        given: dict[str, Any] = dict(options)
        codec = given.get("codec") or ()
        errors = given.get("errors", ())
        given["errors"] = (errors,) if isinstance(errors, type) else tuple(errors)
        given["codec"] = (codec,) if isinstance(codec, Codec) else tuple(codec)
        return cls(service, handler, **given)
