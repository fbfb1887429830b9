"""What the messages of a codec look like, as plain data; see gestalt.core.contracts."""

from .shapes import facts_of, shapes_of

__all__ = ["facts_of", "shapes_of"]
