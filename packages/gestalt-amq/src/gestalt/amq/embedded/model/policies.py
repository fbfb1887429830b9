"""Policies: what an operator sets for many queues and exchanges at once, by their names.

https://www.rabbitmq.com/docs/policies
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from gestalt.core.numbers import choice_of

from .ages import read_age
from .arguments import (
    FILTER_SIZES,
    LOCATORS,
    MAX_SEGMENT_SIZE,
    OVERFLOWS,
    STRATEGIES,
    QueueOptions,
)
from .versions import ConsumerTimeout, Semantics

T = TypeVar("T", int, float)

Definition = Mapping[str, Any]

_QUEUES = {"classic": "classic_queues", "quorum": "quorum_queues", "stream": "streams"}
_APPLY_TO = ("all", "queues", *_QUEUES.values(), "exchanges")


def _whole(least: int, most: float = inf) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    )


def _text(value: object) -> bool:
    return isinstance(value, str)


# What may be in a definition, and what its value is to be. What has no effect here is taken all
# the same: a file may come from a broker that is used in production.
_KEYS: Mapping[str, Callable[[Any], bool]] = {
    "alternate-exchange": _text,
    "consumer-timeout": _whole(0),
    "dead-letter-exchange": _text,
    "dead-letter-routing-key": _text,
    "dead-letter-strategy": lambda value: value in STRATEGIES,
    "delivery-limit": _whole(-(1 << 31)),
    "expires": _whole(1),
    "max-age": lambda value: isinstance(value, str) and read_age(value) is not None,
    "max-length": _whole(0),
    "max-length-bytes": _whole(0),
    "message-ttl": _whole(0),
    "overflow": lambda value: value in OVERFLOWS,
    "queue-leader-locator": lambda value: value in LOCATORS,
    "stream-filter-size-bytes": lambda value: value in FILTER_SIZES,
    "stream-max-segment-size-bytes": _whole(0, MAX_SEGMENT_SIZE),
    **dict.fromkeys(
        (
            "consumer-disconnected-timeout",
            "delayed-retry-max",
            "delayed-retry-min",
            "delayed-retry-type",
            "federation-upstream",
            "federation-upstream-set",
            "ha-mode",
            "ha-params",
            "ha-promote-on-failure",
            "ha-promote-on-shutdown",
            "ha-sync-batch-size",
            "ha-sync-mode",
            "initial-cluster-size",
            "max-in-memory-bytes",
            "max-in-memory-length",
            "queue-master-locator",
            "queue-mode",
            "queue-version",
            "target-group-size",
        ),
        lambda _: True,
    ),
}
# A policy with one of these does not apply to queues of the type at all.
_STREAMS_ONLY = frozenset({"max-age", "stream-max-segment-size-bytes", "initial-cluster-size"})
_UNSUPPORTED = {
    "classic": _STREAMS_ONLY
    | {
        "delivery-limit",
        "dead-letter-strategy",
        "max-in-memory-length",
        "max-in-memory-bytes",
        "target-group-size",
    },
    "quorum": _STREAMS_ONLY
    | {
        "queue-mode",
        "ha-mode",
        "ha-params",
        "ha-sync-mode",
        "ha-promote-on-shutdown",
        "ha-promote-on-failure",
        "queue-master-locator",
    },
    "stream": frozenset(
        {
            "dead-letter-exchange",
            "dead-letter-routing-key",
            "dead-letter-strategy",
            "delivery-limit",
            "expires",
            "ha-mode",
            "ha-params",
            "ha-promote-on-failure",
            "ha-promote-on-shutdown",
            "ha-sync-mode",
            "max-in-memory-bytes",
            "max-in-memory-length",
            "max-length",
            "message-ttl",
            "overflow",
            "queue-master-locator",
            "queue-mode",
            "target-group-size",
        }
    ),
}


# What an operator policy may say, and by which of two values holds what is said twice.
_LOWER_HOLDS = frozenset(
    {
        "delivery-limit",
        "expires",
        "max-in-memory-bytes",
        "max-in-memory-length",
        "max-length",
        "max-length-bytes",
        "message-ttl",
    }
)
_OPERATORS_HOLDS = frozenset(
    {
        "delayed-retry-max",
        "delayed-retry-min",
        "delayed-retry-type",
        "overflow",
        "queue-master-locator",
        "queue-version",
        "target-group-size",
    }
)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy. The one of the highest priority that matches a name applies to it, and no other.

    Args:
        name: its name; setting another one of this name replaces it.
        pattern: a regular expression that is looked for in the names of queues and exchanges.
        definition: what it says, by RabbitMQ's names, such as `message-ttl`; times in milliseconds.
        apply_to: `all`, `queues`, `classic_queues`, `quorum_queues`, `streams` or `exchanges`.
        priority: the highest one that matches applies.
        virtual_host: the virtual host that it is for.
        operator: it is an operator policy, which applies beside the other one, to queues alone.

    Raises:
        ValueError: there is no such key, value, pattern or `apply_to`.
    """

    name: str
    pattern: str
    definition: Definition
    apply_to: str = "all"
    priority: int = 0
    virtual_host: str = "/"
    operator: bool = False
    _expression: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.apply_to not in _APPLY_TO:
            raise ValueError(
                f"a policy applies to one of {', '.join(_APPLY_TO)}, got {choice_of(self.apply_to)}"
            )
        if not self.definition:
            raise ValueError(f"the policy {self.name!r} defines nothing")
        for key, value in self.definition.items():
            check = _KEYS.get(key)
            if check is None:
                raise ValueError(f"a policy cannot define {key!r}, as {self.name!r} does")
            if self.operator and key not in _LOWER_HOLDS | _OPERATORS_HOLDS:
                raise ValueError(f"an operator policy cannot define {key!r}, as {self.name!r} does")
            if not check(value):
                raise ValueError(f"{key} cannot be {value!r}, as the policy {self.name!r} says")
        try:
            expression = re.compile(self.pattern)
        except re.error as error:
            raise ValueError(
                f"the pattern {self.pattern!r} of the policy {self.name!r} is no regular"
                f" expression: {error}"
            ) from error
        object.__setattr__(self, "_expression", expression)

    def applies_to(self, kind: str, name: str) -> bool:
        """Tell whether it applies to a queue of a type, or to an exchange, as `kind` says."""
        if kind == "exchange":
            wanted = self.apply_to in ("all", "exchanges")
        else:
            wanted = self.apply_to in ("all", "queues", _QUEUES[kind])
            wanted = wanted and _UNSUPPORTED.get(kind, frozenset()).isdisjoint(self.definition)
        return wanted and self._expression.search(name) is not None


def read_policies(path: str | Path) -> list[Policy]:
    """Read the policies from a file as `rabbitmqctl export_definitions` writes it (JSON).

    Args:
        path: the file: an object with a list of `policies`, or such a list alone. Operator policies
            are among its `parameters`. All else that it may hold is left alone.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or a policy in it is not valid.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    whole = content if isinstance(content, dict) else {"policies": content}
    policies = [_policy(path, item) for item in _objects(path, whole, "policies")]
    for item in _objects(path, whole, "parameters"):
        if item.get("component") == "operator_policy":
            value = item.get("value")
            known = {key: item[key] for key in ("name", "vhost") if key in item}
            whole_item = {**value, **known} if isinstance(value, dict) else known
            policies.append(_policy(path, whole_item, operator=True))
    return policies


def _objects(path: str | Path, content: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = content.get(key, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{path} has no list of {key}")
    return items


def _policy(path: str | Path, item: Mapping[str, Any], *, operator: bool = False) -> Policy:
    try:
        return Policy(
            name=item["name"],
            pattern=item["pattern"],
            definition=item["definition"],
            apply_to=item.get("apply-to", "all"),
            priority=int(item.get("priority", 0)),
            virtual_host=item.get("vhost", "/"),
            operator=operator,
        )
    except (KeyError, TypeError, AttributeError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else "a value of another type"
        raise ValueError(f"{path}: a policy is not whole: {what}") from error


def chosen(policies: Mapping[str, Policy], kind: str, name: str) -> Policy | None:
    """Return the policy that applies to a queue or exchange, or None."""
    matching = [policy for policy in policies.values() if policy.applies_to(kind, name)]
    return max(matching, key=lambda policy: policy.priority, default=None)


def merged(policy: Policy | None, operator: Policy | None, semantics: Semantics) -> Definition:
    """Return what a policy and an operator policy say together: of two numbers the lower holds."""
    definition = dict(policy.definition) if policy is not None else {}
    for key, value in operator.definition.items() if operator is not None else ():
        known = definition.get(key)
        if known is None or key in _OPERATORS_HOLDS:
            definition[key] = value
        elif key == "delivery-limit" and semantics.negative_limit_is_none and min(known, value) < 0:
            # One of them is no limit.
            definition[key] = max(known, value)
        else:
            definition[key] = min(known, value)
    return definition


def check_version(policy: Policy, semantics: Semantics) -> None:
    """Raise ValueError for an operator policy that the version does not take."""
    if policy.operator and not semantics.operator_overflow and "overflow" in policy.definition:
        raise ValueError(f"an operator policy cannot define 'overflow', as {policy.name!r} does")


def effective(declared: QueueOptions, definition: Definition, semantics: Semantics) -> QueueOptions:
    """Return what holds for a queue: of two numbers the lower, of all else what it was declared as.

    Args:
        declared: what its arguments say.
        definition: what its policy says.
        semantics: what holds for the version.
    """
    quorum = declared.quorum
    overflow = declared.overflow or definition.get("overflow")
    drops = overflow is None or overflow == "drop-head"
    strategy = declared.dead_letter_strategy or definition.get("dead-letter-strategy")
    age = definition.get("max-age")
    timeout = _lower(declared.consumer_timeout, _seconds(definition.get("consumer-timeout")))
    exchange = declared.dead_letter_exchange
    routing_key = declared.dead_letter_routing_key
    return replace(
        declared,
        message_ttl=_lower(declared.message_ttl, _seconds(definition.get("message-ttl"))),
        expires=_lower(declared.expires, _seconds(definition.get("expires"))),
        max_length=_lower(declared.max_length, definition.get("max-length")),
        max_bytes=_lower(declared.max_bytes, definition.get("max-length-bytes")),
        # A quorum queue takes reject-publish-dlx for drop-head.
        reject_overflow=overflow == "reject-publish" if quorum else not drops,
        dead_letter_overflow=overflow == "reject-publish-dlx" and not quorum,
        dead_letter_exchange=definition.get("dead-letter-exchange")
        if exchange is None
        else exchange,
        dead_letter_routing_key=definition.get("dead-letter-routing-key")
        if routing_key is None
        else routing_key,
        delivery_limit=_delivery_limit(declared, definition, semantics) if quorum else None,
        at_least_once=quorum and strategy == "at-least-once" and overflow == "reject-publish",
        consumer_timeout=None if _ignores_timeout(quorum, semantics) else timeout,
        max_age=_lower(declared.max_age, read_age(age) if age is not None else None),
        # Here it is the policy that holds.
        segment_bytes=definition.get("stream-max-segment-size-bytes", declared.segment_bytes),
    )


def _delivery_limit(
    declared: QueueOptions, definition: Definition, semantics: Semantics
) -> int | None:
    given = [
        limit
        for limit in (declared.delivery_limit, definition.get("delivery-limit"))
        if limit is not None
    ]
    unlimited = semantics.negative_limit_is_none
    if not given:
        return semantics.delivery_limit
    limit: int = max(given) if unlimited and min(given) < 0 else min(given)
    return None if unlimited and limit < 0 else limit


def _ignores_timeout(quorum: bool, semantics: Semantics) -> bool:
    match semantics.consumer_timeout:
        case ConsumerTimeout.IGNORED:
            return True
        case ConsumerTimeout.ENDS_DELIVERY:
            return not quorum
    return False


def _lower(first: T | None, second: T | None) -> T | None:
    given = [value for value in (first, second) if value is not None]
    return min(given) if given else None


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
