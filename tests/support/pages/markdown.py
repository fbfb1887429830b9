"""What a page of Markdown has for those who run it: blocks, and invisible comments."""

import re
from dataclasses import dataclass, replace
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
    r"<!-- (?P<word>python|meanwhile|not run|run by|run|start|file|with)\b:?(?P<text>.*?)-->\s*",
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
        if token.map is None or token.type in _AROUND:
            continue
        line = token.map[0] + 1
        if token.type in ("fence", "code_block"):
            language = token.info.split()[0] if token.info else ""
            block = Block(language, token.content, line + (token.type == "fence"))
            if pending is not None:
                block = _told(page, block, pending)
            found.append(block)
            pending = None
            continue
        if pending is not None and pending.marker:
            raise PageError(f"{page}:{pending.line}: no block follows '{pending.marker}'")
        pending = None
        if token.type == "html_block" and token.content.lstrip().startswith("<!--"):
            comment = _comment(token.content.strip(), line)
            if comment.marker in WHOLE:
                found.append(comment)
            else:
                pending = comment
    if pending is not None and pending.marker:
        raise PageError(f"{page}:{pending.line}: no block follows '{pending.marker}'")
    return found


# What may stand between a comment and its block: nothing that is seen.
_AROUND = {"list_item_open", "list_item_close", "bullet_list_open", "ordered_list_open"}


def _comment(comment: str, line: int) -> Block:
    match = MARKER.fullmatch(comment)
    if match is None:
        return Block("", comment, line)
    text = match["text"]
    # Code begins in the line below the word.
    if text.startswith("\n"):
        return Block("", text[1:], line + 1, match["word"])
    return Block("", text.strip(), line, match["word"])


def _told(page: Path, block: Block, comment: Block) -> Block:
    if not comment.marker:
        raise PageError(f"{page}:{comment.line}: this comment says nothing that is known")
    return replace(block, marker=comment.marker, note=comment.text, note_line=comment.line)
