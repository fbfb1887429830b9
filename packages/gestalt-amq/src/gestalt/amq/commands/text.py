"""What others have written, made fit for a terminal."""

import datetime


def plain(text: str) -> str:
    """Text of somebody else, without what would change the line or the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def point_in_time(seconds: float) -> datetime.datetime | None:
    """The time; None where the number, which somebody else has sent, is none."""
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
