"""The optional arguments of a queue: what RabbitMQ accepts, and what they say.

https://www.rabbitmq.com/queues.html#optional-arguments
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from gestalt.amq.wire import TYPE_NAMES, AmqpError, Arguments, FieldValue

_INTEGERS = frozenset({"byte", "short", "signedint", "long", "unsignedbyte", "unsignedshort"}) | {
    "unsignedint"
}
_TEN_YEARS = 315_360_000_000
_MAX_PRIORITY = 255
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")

# What each type of queue takes; an argument that only the other one takes is refused. The order is
# that in which RabbitMQ compares a declaration with what is there.
KNOWN_ARGUMENTS = {
    "classic": (
        "x-expires",
        "x-message-ttl",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-overflow",
        "x-queue-mode",
        "x-queue-version",
        "x-single-active-consumer",
        "x-queue-type",
        "x-queue-master-locator",
    ),
    "quorum": (
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-in-memory-length",
        "x-max-in-memory-bytes",
        "x-overflow",
        "x-single-active-consumer",
        "x-queue-type",
        "x-quorum-initial-group-size",
        "x-delivery-limit",
        "x-message-ttl",
        "x-queue-leader-locator",
    ),
}
_STREAM_ONLY = {"x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size"}


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """What the arguments of a queue say; times in seconds, sizes in bytes."""

    quorum: bool = False
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


def type_name(arguments: Mapping[str, FieldValue], key: str) -> str:
    """Return the name that RabbitMQ gives to the type of an argument."""
    if isinstance(arguments, Arguments) and key in arguments.letters:
        return TYPE_NAMES.get(arguments.letters[key], "void")
    match arguments[key]:
        case bool():
            return "bool"
        case int():
            return "signedint"
        case str():
            return "longstr"
        case _:
            return "table"


def read_options(arguments: Mapping[str, FieldValue], resource: str) -> QueueOptions:
    """Check the arguments of a queue that is declared, and return what they say.

    Args:
        arguments: the arguments; unknown ones are ignored, as RabbitMQ does.
        resource: how an error names the queue.

    Raises:
        AmqpError: an argument has the wrong type or value, or is not for this type of queue.
    """
    checks = _Checks(arguments, resource)
    kind = checks.string("x-queue-type", _check_queue_type) or "classic"
    if kind == "stream":
        raise AmqpError("NOT_IMPLEMENTED", f"the embedded broker has no streams: {resource}")
    known = frozenset(KNOWN_ARGUMENTS[kind])
    foreign = _STREAM_ONLY.union(*KNOWN_ARGUMENTS.values()) - known
    checks.known = known
    overflow = checks.string("x-overflow", _check_overflow)
    checks.string("x-queue-mode", _check_queue_mode)
    dead_letter_exchange = checks.string("x-dead-letter-exchange")
    options = QueueOptions(
        quorum=kind == "quorum",
        message_ttl=checks.seconds("x-message-ttl", minimum=0),
        expires=checks.seconds("x-expires", minimum=1),
        max_length=checks.integer("x-max-length"),
        max_bytes=checks.integer("x-max-length-bytes"),
        reject_overflow=overflow in ("reject-publish", "reject-publish-dlx"),
        dead_letter_overflow=overflow == "reject-publish-dlx",
        dead_letter_exchange=dead_letter_exchange,
        dead_letter_routing_key=checks.string("x-dead-letter-routing-key", _needs_dlx(arguments)),
        max_priority=checks.integer("x-max-priority", maximum=_MAX_PRIORITY) or 0,
        single_active_consumer=checks.flag("x-single-active-consumer"),
        delivery_limit=_delivery_limit(arguments) if kind == "quorum" else None,
    )
    for key in arguments:
        if key in foreign:
            raise AmqpError(
                "PRECONDITION_FAILED",
                f"invalid arg '{key}' for {resource} of queue type rabbit_{kind}_queue",
            )
    return options


def _delivery_limit(arguments: Mapping[str, FieldValue]) -> int | None:
    """Return the delivery limit; any other value than a limit means none, as in RabbitMQ."""
    limit = arguments.get("x-delivery-limit")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        return None
    return limit


class _Checks:
    """Reads arguments one by one, and refuses what is wrong with RabbitMQ's words."""

    def __init__(self, arguments: Mapping[str, FieldValue], resource: str) -> None:
        self._arguments = arguments
        self._resource = resource
        self.known = frozenset({"x-queue-type"})

    def string(self, key: str, check: Callable[[str], str | None] | None = None) -> str | None:
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            if key == "x-dead-letter-exchange":
                kind = type_name(self._arguments, key)
                raise AmqpError(
                    "PRECONDITION_FAILED",
                    f"invalid type '{kind}' for arg '{key}' in {self._resource}",
                )
            self._refuse(key, f"{{unacceptable_type,{type_name(self._arguments, key)}}}")
        if check is not None and (problem := check(value)) is not None:
            self._refuse(key, problem)
        return value

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            self._refuse(key, f"{{unacceptable_type,{type_name(self._arguments, key)}}}")
        return value

    def seconds(self, key: str, *, minimum: int) -> float | None:
        value = self._get(key)
        if value is None:
            return None
        number = self._number(key, value)
        if number < 0:
            self._refuse(key, f"{{value_negative,{number}}}")
        if number < minimum:
            self._refuse(key, f"{{value_zero,{number}}}")
        if number > _TEN_YEARS:
            self._refuse(key, f"{{value_too_large,{number}}}")
        return number / 1000

    def integer(self, key: str, *, maximum: int | None = None) -> int | None:
        value = self._get(key)
        if value is None:
            return None
        number = self._number(key, value)
        if number < 0:
            self._refuse(key, f"{{value_negative,{number}}}")
        if maximum is not None and number > maximum:
            self._refuse(key, f"{{max_value_exceeded,{number}}}")
        return number

    def _get(self, key: str) -> FieldValue:
        return self._arguments.get(key) if key in self.known else None

    def _number(self, key: str, value: FieldValue) -> int:
        kind = type_name(self._arguments, key)
        if kind not in _INTEGERS or not isinstance(value, int):
            self._refuse(key, f'"expected integer, got {kind}"')
        return value

    def _refuse(self, key: str, problem: str) -> NoReturn:
        raise AmqpError(
            "PRECONDITION_FAILED", f"invalid arg '{key}' for {self._resource}: {problem}"
        )


def _check_queue_type(value: str) -> str | None:
    known = ("classic", "quorum", "stream")
    return None if value in known else f"\"unsupported queue type '{value}'\""


def _check_overflow(value: str) -> str | None:
    return None if value in _OVERFLOWS else "invalid_overflow"


def _check_queue_mode(value: str) -> str | None:
    return None if value in ("default", "lazy") else f"\"unsupported queue mode '{value}'\""


def _needs_dlx(arguments: Mapping[str, FieldValue]) -> Callable[[str], str | None]:
    def check(_value: str) -> str | None:
        if "x-dead-letter-exchange" in arguments:
            return None
        return "routing_key_but_no_dlx_defined"

    return check
