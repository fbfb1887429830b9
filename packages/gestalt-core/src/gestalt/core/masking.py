"""Texts as errors show them: without what may be a secret."""

import re
from collections.abc import Sequence

_QUERY = re.compile(r"[?#]\S*")
_USER = re.compile(r"(?<=//)[^\s'\"]*@|[^\s'\"/]+@")
# What errors write themselves, to show how a URL looks.
_EXAMPLE = "user:password@"
_FLAG = re.compile(r"--[\w-]*|-\w")


def without_users(text: str) -> str:
    """A text whose URLs have no users and passwords, and what looks like those neither."""
    return _USER.sub(lambda found: found[0] if found[0] == _EXAMPLE else "...@", text)


def masked(text: str) -> str:
    """A text that was given, in quotes: of a URL without user, password and query."""
    return repr(without_users(_QUERY.sub("?...", text)))


def without_values(words: Sequence[str]) -> list[str]:
    """Arguments of a command line that it does not know: options without their values."""
    found: list[str] = []
    for word in words:
        if flag := _FLAG.match(word):
            found.append(flag[0])
        elif not found or not found[-1].startswith("-"):
            found.append(masked(word)[1:-1])
    return found
