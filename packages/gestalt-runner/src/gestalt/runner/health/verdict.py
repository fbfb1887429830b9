"""Whether an application can work, and what says that it cannot."""

from collections.abc import Sequence
from typing import Any, NamedTuple

LONGEST = 200
"""How many characters of a reason are told."""


class Finding(NamedTuple):
    """What one check came to.

    Attributes:
        check: its name.
        trouble: why it failed; None if it did not.
        seconds: how long it took.
    """

    check: str
    trouble: str | None
    seconds: float = 0.0


class Verdict(NamedTuple):
    """What an application is found to be.

    Attributes:
        word: what it is called if nothing fails, such as "ready".
        findings: what all checks came to.
    """

    word: str
    findings: Sequence[Finding] = ()

    @property
    def good(self) -> bool:
        """Whether no check failed."""
        return all(each.trouble is None for each in self.findings)

    def as_json(self, *, verbose: bool = False) -> dict[str, Any]:
        """What is answered, as plain data.

        Args:
            verbose: name the checks that did not fail, too, and how long each took.
        """
        answer: dict[str, Any] = {"status": self.word if self.good else f"not {self.word}"}
        failed = [each for each in self.findings if each.trouble is not None]
        if failed:
            answer["failed"] = [
                {"check": each.check, "reason": _line(each.trouble or "")} for each in failed
            ]
        if verbose:
            answer["checks"] = [
                {
                    "check": each.check,
                    "ok": each.trouble is None,
                    "seconds": round(each.seconds, 3),
                }
                for each in self.findings
            ]
        return answer


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
