"""What was probably meant by a name that is none."""

from collections.abc import Iterable


def near(name: str, known: Iterable[str]) -> str:
    """What a message says behind a name that is not among those that are known; maybe nothing."""
    import difflib

    found = difflib.get_close_matches(name, list(known), 1, 0.8)
    return f"; did you mean {found[0]!r}?" if found else ""
