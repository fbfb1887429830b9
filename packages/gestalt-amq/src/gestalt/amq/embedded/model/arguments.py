"""The optional arguments of a queue: what RabbitMQ accepts, and what they say.

https://www.rabbitmq.com/docs/queues#optional-arguments
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import inf
from typing import NoReturn

from gestalt.amq.wire import TYPE_NAMES, AmqpError, Arguments, FieldValue

from .ages import read_age
from .versions import ConsumerTimeout, Semantics, not_permitted

INTEGERS = frozenset(
    {"byte", "short", "signedint", "long", "unsignedbyte", "unsignedshort", "unsignedint"}
)
_TEN_YEARS = 315_360_000_000
_MAX_PRIORITY = 255
KINDS = ("classic", "quorum", "stream")
MODES = ("default", "lazy")
STRATEGIES = ("at-most-once", "at-least-once")
LOCATORS = ("client-local", "balanced", "random", "least-leaders")
OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")

# What a stream's arguments may say, in bytes.
MAX_SEGMENT_SIZE = 3_000_000_000
FILTER_SIZES = range(16, 256)
_SEGMENT_SIZE = "x-stream-max-segment-size-bytes"
_FILTER_SIZE = "x-stream-filter-size-bytes"


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """What the arguments of a queue say; times in seconds, sizes in bytes.

    The age of a stream's segments is in milliseconds. A policy and the version have a say as well:
    `policies.effective` tells what holds.
    """

    kind: str = "classic"
    message_ttl: float | None = None
    expires: float | None = None
    max_length: int | None = None
    max_bytes: int | None = None
    reject_overflow: bool = False
    dead_letter_overflow: bool = False
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    max_priority: int = 0
    single_active_consumer: bool = False
    delivery_limit: int | None = None
    overflow: str | None = None
    dead_letter_strategy: str | None = None
    at_least_once: bool = False
    consumer_timeout: float | None = None
    max_age: int | None = None
    segment_bytes: int | None = None

    @property
    def quorum(self) -> bool:
        return self.kind == "quorum"


# Where it is not known as what a value came.
_PLAIN: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "signedint"),
    (str, "longstr"),
    (float, "double"),
    (type(None), "void"),
    (object, "table"),
)


def type_name(arguments: Mapping[str, FieldValue], key: str) -> str:
    """Return the name that RabbitMQ gives to the type of an argument."""
    if isinstance(arguments, Arguments) and key in arguments.letters:
        return TYPE_NAMES.get(arguments.letters[key], "void")
    value = arguments[key]
    return next(name for kind, name in _PLAIN if isinstance(value, kind))


def consume_timeout(
    arguments: Mapping[str, FieldValue], resource: str, semantics: Semantics, kind: str
) -> float | None:
    """Return the timeout that a consumer asks for, in seconds; None for that of its queue.

    Raises:
        AmqpError: it is no such timeout, or this type of queue has none.
    """
    key = "x-consumer-timeout"
    if key not in semantics.quorum_arguments or key not in arguments:
        return None
    if kind != "quorum":
        raise _foreign(key, resource, kind)
    checks = _Checks(arguments, resource)
    checks.known = frozenset({key})
    return checks.timeout(semantics)


def consume_priority(arguments: Mapping[str, FieldValue], resource: str) -> int:
    """Return the priority of a consumer. Raises AmqpError when it is none."""
    checks = _Checks(arguments, resource)
    checks.known = frozenset({"x-priority"})
    return checks.any_integer("x-priority") or 0


def read_options(
    arguments: Mapping[str, FieldValue], resource: str, semantics: Semantics
) -> QueueOptions:
    """Check the arguments of a queue that is declared, and return what they say.

    Args:
        arguments: the arguments; unknown ones are ignored, as RabbitMQ does.
        resource: how an error names the queue.
        semantics: what holds for the version.

    Raises:
        AmqpError: an argument has the wrong type or value, or is not for this type of queue.
    """
    checks = _Checks(arguments, resource)
    kind = (
        checks.string("x-queue-type", _one_of(KINDS, "\"unsupported queue type '{}'\""))
        or "classic"
    )
    known = frozenset(semantics.arguments(kind))
    foreign = semantics.foreign_arguments(kind)
    checks.known = known
    overflow = checks.string("x-overflow", _one_of(OVERFLOWS, "invalid_overflow"))
    if semantics.checks_queue_mode:
        checks.string("x-queue-mode", _one_of(MODES, "\"unsupported queue mode '{}'\""))
    checks.version("x-queue-version", semantics.queue_versions)
    checks.string("x-queue-leader-locator", _one_of(LOCATORS, "invalid_queue_locator_arg"))
    strategy = checks.string("x-dead-letter-strategy", _one_of(STRATEGIES, "invalid_dlx_strategy"))
    for key in ("x-max-in-memory-length", "x-max-in-memory-bytes"):
        checks.integer(key)
    checks.integer("x-quorum-initial-group-size", minimum=1)
    checks.integer("x-initial-cluster-size", minimum=1)
    checks.integer(_FILTER_SIZE)
    max_age = checks.string("x-max-age", _check_age)
    dead_letter_exchange = checks.dead_letter_exchange()
    options = QueueOptions(
        kind=kind,
        message_ttl=checks.seconds("x-message-ttl", minimum=0),
        expires=checks.seconds("x-expires", minimum=1),
        max_length=checks.integer("x-max-length"),
        max_bytes=checks.integer("x-max-length-bytes"),
        overflow=overflow,
        dead_letter_exchange=dead_letter_exchange,
        dead_letter_routing_key=checks.string("x-dead-letter-routing-key", _needs_dlx(arguments)),
        max_priority=checks.integer("x-max-priority", maximum=_MAX_PRIORITY) or 0,
        single_active_consumer=checks.flag("x-single-active-consumer"),
        delivery_limit=_delivery_limit(arguments, semantics) if kind == "quorum" else None,
        dead_letter_strategy=strategy,
        consumer_timeout=checks.timeout(semantics),
        max_age=read_age(max_age) if max_age is not None else None,
        segment_bytes=checks.integer(_SEGMENT_SIZE),
    )
    for key in arguments:
        if key in foreign:
            raise _foreign(key, resource, kind)
    if "x-queue-master-locator" in arguments and not semantics.queue_master_locator:
        raise not_permitted("queue_master_locator")
    return options


def check_stream(
    arguments: Mapping[str, FieldValue], options: QueueOptions, semantics: Semantics
) -> None:
    """Check what a stream's arguments say together. Raises AmqpError when that cannot be."""
    if options.segment_bytes is not None and options.segment_bytes > MAX_SEGMENT_SIZE:
        raise AmqpError("PRECONDITION_FAILED", f"Exceeded max value for {_SEGMENT_SIZE}")
    size = arguments.get(_FILTER_SIZE)
    problem = semantics.stream_filter_size
    if problem is not None and size is not None and size not in FILTER_SIZES:
        raise AmqpError("PRECONDITION_FAILED", problem)


def check_consume(
    arguments: Mapping[str, FieldValue], resource: str, semantics: Semantics, kind: str
) -> None:
    """Raise AmqpError for an optional argument of basic.consume that is for other queues."""
    is_stream = kind == "stream"
    foreign = (
        semantics.classic_consumer_arguments if is_stream else semantics.stream_consumer_arguments
    )
    for key in arguments:
        if key in foreign:
            raise _foreign(key, resource, kind)


def _foreign(key: str, resource: str, kind: str) -> AmqpError:
    return AmqpError(
        "PRECONDITION_FAILED",
        f"invalid arg '{key}' for {resource} of queue type rabbit_{kind}_queue",
    )


def _delivery_limit(arguments: Mapping[str, FieldValue], semantics: Semantics) -> int | None:
    """Return the delivery limit; RabbitMQ takes any other value, and means no limit by it."""
    limit = arguments.get("x-delivery-limit")
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool)):
        return limit
    return -1 if semantics.negative_limit_is_none else None


class _Checks:
    """Reads arguments one by one, and refuses what is wrong with RabbitMQ's words."""

    def __init__(self, arguments: Mapping[str, FieldValue], resource: str) -> None:
        self._arguments = arguments
        self._resource = resource
        self.known = frozenset({"x-queue-type"})

    def string(self, key: str, check: Callable[[str], str | None]) -> str | None:
        if not self._has(key):
            return None
        value = self._arguments[key]
        if not isinstance(value, str):
            self._refuse(key, f"{{unacceptable_type,{type_name(self._arguments, key)}}}")
        if (problem := check(value)) is not None:
            self._refuse(key, problem)
        return value

    def dead_letter_exchange(self) -> str | None:
        key = "x-dead-letter-exchange"
        value = self._arguments.get(key)
        if key not in self._arguments or isinstance(value, str):
            return value if isinstance(value, str) else None
        raise AmqpError(
            "PRECONDITION_FAILED",
            f"invalid type '{type_name(self._arguments, key)}' for arg '{key}' in {self._resource}",
        )

    def flag(self, key: str) -> bool:
        if not self._has(key):
            return False
        value = self._arguments[key]
        if not isinstance(value, bool):
            self._refuse(key, f"{{unacceptable_type,{type_name(self._arguments, key)}}}")
        return value

    def seconds(self, key: str, *, minimum: int) -> float | None:
        number = self.integer(key, minimum=minimum, maximum=_TEN_YEARS, too_large="value_too_large")
        return None if number is None else number / 1000

    def any_integer(self, key: str) -> int | None:
        if not self._has(key):
            return None
        value, kind = self._arguments[key], type_name(self._arguments, key)
        if kind not in INTEGERS or not isinstance(value, int):
            self._refuse(key, f'"expected integer, got {kind}"')
        return value

    def version(self, key: str, known: tuple[int, ...]) -> None:
        number = self.any_integer(key)
        if number is not None and number not in known:
            self._refuse(key, f"\"unsupported queue version '{number}'\"")

    def timeout(self, semantics: Semantics) -> float | None:
        """The consumer timeout: a known argument in one version, and not even checked in others."""
        key = "x-consumer-timeout"
        if key in self.known:
            milliseconds: FieldValue = self.integer(key)
        else:
            milliseconds = self._arguments.get(key)
        if semantics.consumer_timeout is ConsumerTimeout.IGNORED:
            return None
        return milliseconds / 1000 if isinstance(milliseconds, int) else None

    def integer(
        self,
        key: str,
        *,
        minimum: int = 0,
        maximum: float = inf,
        too_large: str = "max_value_exceeded",
    ) -> int | None:
        number = self.any_integer(key)
        if number is None:
            return None
        if number < 0:
            self._refuse(key, f"{{value_negative,{number}}}")
        if number < minimum:
            self._refuse(key, f"{{value_zero,{number}}}")
        if number > maximum:
            self._refuse(key, f"{{{too_large},{number}}}")
        return number

    def _has(self, key: str) -> bool:
        """Tell whether the argument is given. No value at all is one, and not of any right type."""
        return key in self.known and key in self._arguments

    def _refuse(self, key: str, problem: str) -> NoReturn:
        raise AmqpError(
            "PRECONDITION_FAILED", f"invalid arg '{key}' for {self._resource}: {problem}"
        )


def _one_of(known: Collection[str], problem: str) -> Callable[[str], str | None]:
    return lambda value: None if value in known else problem.format(value)


def _check_age(value: str) -> str | None:
    return None if read_age(value) is not None else "invalid_max_age"


def _needs_dlx(arguments: Mapping[str, FieldValue]) -> Callable[[str], str | None]:
    def check(_value: str) -> str | None:
        if "x-dead-letter-exchange" in arguments:
            return None
        return "routing_key_but_no_dlx_defined"

    return check
