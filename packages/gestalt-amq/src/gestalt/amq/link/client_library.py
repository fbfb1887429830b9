"""What the client library calls its channels, for those who only name them.

Importing the library takes nearly as long as all of gestalt.amq; it is done when a bus connects.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel
else:
    AbstractChannel: TypeAlias = Any

__all__ = ["AbstractChannel"]
