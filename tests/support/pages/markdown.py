"""What a page of Markdown has for those who run it: blocks, and invisible comments."""

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    page
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "packages/*/*.md",
        "benchmarks/*.md",
        "examples/**/*.md",
    )
    for page in ROOT.glob(pattern)
)

MARKER = re.compile(
    r"<!-- (?P<word>python|meanwhile|not run|run by|run|start|file)\b:?(?P<text>.*?)-->\s*",
    re.DOTALL,
)
"""An invisible comment that says what is to be done."""
WHOLE = {"python", "run by"}
"""The words that stand for themselves; all others tell of the block below."""


class PageError(Exception):
    """A page has a comment that nobody understands."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page, or an invisible comment that stands for itself.

    Attributes:
        language: what follows the fence; empty for what is indented.
        text: what is in it.
        line: where its text begins, from 1 on.
        marker: the word of the comment before it, or of its own; empty where there is none.
        note: the rest of that comment.
        note_line: where that rest begins.
    """

    language: str
    text: str
    line: int
    marker: str = ""
    note: str = ""
    note_line: int = 0


def name_of(page: Path) -> str:
    """How tests call a page."""
    return str(page.relative_to(ROOT))


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order.

    Raises:
        PageError: a comment is about a block, and none follows.
    """
    found: list[Block] = []
    pending: Block | None = None
    for token in MarkdownIt("commonmark").parse(page.read_text("utf-8")):
        if token.type not in ("html_block", "fence", "code_block") or token.map is None:
            if pending is not None and token.type not in _AROUND:
                raise PageError(f"{page}:{pending.line}: no block follows '{pending.marker}'")
            continue
        line = token.map[0] + 1
        if token.type == "html_block":
            if not token.content.lstrip().startswith("<!--"):
                continue
            if pending is not None:
                raise PageError(f"{page}:{pending.line}: no block follows '{pending.marker}'")
            block = _marked(page, token.content.strip(), line)
            if block.marker in WHOLE:
                found.append(block)
            else:
                pending = block
            continue
        language = token.info.split()[0] if token.info else ""
        start = line + (token.type == "fence")
        if pending is None:
            found.append(Block(language, token.content, start))
        else:
            found.append(
                Block(language, token.content, start, pending.marker, pending.text, pending.line)
            )
            pending = None
    if pending is not None:
        raise PageError(f"{page}:{pending.line}: no block follows '{pending.marker}'")
    return found


# What may stand between a comment and its block: nothing that is seen.
_AROUND = {"list_item_open", "list_item_close", "bullet_list_open", "ordered_list_open"}


def _marked(page: Path, comment: str, line: int) -> Block:
    match = MARKER.fullmatch(comment)
    if match is None:
        raise PageError(f"{page}:{line}: this comment says nothing that is known: {comment[:60]}")
    text = match["text"]
    # Code begins in the line below the word.
    if text.startswith("\n"):
        return Block("", text[1:], line + 1, match["word"])
    return Block("", text.strip(), line, match["word"])
