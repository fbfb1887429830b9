"""What the messages of a codec look like, as plain data; see gestalt.core.contracts."""

from .shapes import facts_of as facts_of
from .shapes import shapes_of as shapes_of
