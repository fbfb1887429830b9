"""What may go with a message that is published."""

import datetime

from gestalt.amq.encoding import MessageOptions

from .delays import TimeLeft, time_left


class PublishOptions(MessageOptions, total=False):
    """What may go with a message, and when it is to be delivered.

    A delayed message is confirmed when it is stored to wait. It is not mandatory, and has neither
    an expiration nor a priority.

    Attributes:
        delay: in how many seconds it is to be delivered, or a timedelta: up to 366 days. Less than
            a minute is rounded up to a multiple of 0.01 s, more to whole seconds.
        at: in place of `delay`, when: a datetime with a time zone. One that has passed means now.
    """

    delay: float | datetime.timedelta | None
    at: datetime.datetime | None


def take_due(options: PublishOptions) -> TimeLeft | None:
    """Take out of the options when a message is due; None for now.

    Raises:
        Unsendable, UnsendableType: as `time_left` has them.
    """
    delay, at = options.pop("delay", None), options.pop("at", None)
    if delay is None and at is None:
        return None
    due = time_left(delay, at)
    return due if due() > 0 else None
