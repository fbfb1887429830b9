"""Changes as people read them, and as scripts do."""

import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from .changes import WORDS, Change, Who

INDENT = "    "


def text_of(changes: Sequence[Change], fail_on: str) -> str:
    """What is printed for people.

    Args:
        changes: all of them.
        fail_on: whose trouble is an error.
    """
    wrong = [each for each in changes if each.breaks]
    fine = [each for each in changes if not each.breaks]
    blocks = []
    if wrong:
        blocks.append("Incompatible:")
        blocks += [_block(each, tolerated=not each.fails(fail_on)) for each in wrong]
    if fine:
        blocks.append("Compatible:")
        blocks += [_block(each) for each in fine]
    failed = sum(each.fails(fail_on) for each in changes)
    blocks.append(_summary(len(wrong), len(fine), failed))
    return "\n\n".join(blocks)


def as_data(changes: Sequence[Change], fail_on: str) -> dict[str, Any]:
    """What is printed for scripts."""
    return {
        "compatible": not any(each.breaks for each in changes),
        "failed": any(each.fails(fail_on) for each in changes),
        "changes": [
            {
                "where": each.where,
                "what": each.what,
                "breaks": [str(who) for who in Who if who in each.breaks],
                "channels": list(each.channels),
            }
            for each in changes
        ],
    }


def _block(change: Change, *, tolerated: bool = False) -> str:
    lines = [_wrapped(f"{change.where}: {change.what}", INDENT[:2], INDENT)]
    if change.breaks:
        who = ", ".join(WORDS[each] for each in Who if each in change.breaks)
        allowed = " (allowed here)" if tolerated else ""
        lines.append(_wrapped(f"breaks  {who}{allowed}", INDENT, INDENT + " " * 8))
    if change.channels:
        lines.append(_wrapped(f"on      {', '.join(change.channels)}", INDENT, INDENT + " " * 8))
    return "\n".join(lines)


def _wrapped(text: str, first: str, others: str) -> str:
    width = max(40, shutil.get_terminal_size((100, 24)).columns)
    return textwrap.fill(
        text,
        width=min(width, 100),
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(wrong: int, fine: int, failed: int) -> str:
    if not wrong and not fine:
        return "Nothing has changed."
    text = f"{_count(wrong, 'incompatible')}, {_count(fine, 'compatible')}."
    if wrong > failed:
        text += f" {wrong - failed} of the incompatible ones " + (
            "is allowed here." if wrong - failed == 1 else "are allowed here."
        )
    return text


def _count(number: int, kind: str) -> str:
    return f"{number or 'no'} {kind} change{'s' if number != 1 else ''}"
