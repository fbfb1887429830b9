"""Matching of routing keys against the patterns of a topic exchange.

Keys and patterns are words between dots; in a pattern `*` stands for one word and `#` for any
number of words, also none. https://www.rabbitmq.com/tutorials/amqp-concepts#exchange-topic
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class TopicPatterns(Generic[T]):
    """The values that are found by the patterns which they were added under.

    The patterns form a trie, and a key walks it word by word with the set of all nodes that it may
    have reached. So a match takes at most as many steps as there are nodes for each word, however
    many `#` a pattern has.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node(swallows=False)

    def add(self, pattern: str, value: T) -> None:
        """Add a value under a pattern; adding it again changes nothing."""
        node = self._root
        for word in _words(pattern):
            node = node.children.setdefault(word, _Node(swallows=word == "#"))
        node.values[value] = None

    def remove(self, pattern: str, value: T) -> None:
        """Remove a value that was added under this pattern, and nodes that lead nowhere now."""
        path = [self._root]
        words = _words(pattern)
        for word in words:
            path.append(path[-1].children[word])
        del path[-1].values[value]
        for word, parent, node in zip(reversed(words), path[-2::-1], path[:0:-1], strict=True):
            if node.values or node.children:
                break
            del parent.children[word]

    def match(self, key: str) -> list[T]:
        """Return the values of every pattern that the key matches; one may come more than once."""
        reached = _with_hashes([self._root])
        for word in _words(key):
            following: list[_Node[T]] = []
            for node in reached:
                if node.swallows:
                    following.append(node)
                children = node.children
                if children:
                    if (child := children.get(word)) is not None and not child.swallows:
                        following.append(child)
                    if word != "*" and (child := children.get("*")) is not None:
                        following.append(child)
            if not following:
                return []
            reached = _with_hashes(following)
        return [value for node in reached for value in node.values]


class _Node(Generic[T]):
    """A node of the trie; `swallows` is true for the node behind a `#`, which takes any words."""

    __slots__ = ("children", "swallows", "values")

    def __init__(self, *, swallows: bool) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.swallows = swallows
        self.values: dict[T, None] = {}


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def _with_hashes(nodes: Iterable[_Node[T]]) -> list[_Node[T]]:
    """Add the nodes that are reached without a word, behind a `#`; each node comes once."""
    found: dict[_Node[T], None] = {}
    for node in nodes:
        while node not in found:
            found[node] = None
            behind = node.children.get("#")
            if behind is None:
                break
            node = behind
    return list(found)
