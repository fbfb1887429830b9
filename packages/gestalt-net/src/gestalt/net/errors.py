"""The errors of the network endpoints.

NetError (GestaltError)
├── FramingError (ValueError)                received bytes are not frames: the sender erred
│   ├── FrameTooLarge
│   └── IncompleteFrame (EOFError)           the stream ended within a frame
└── PayloadError (ValueError)                a framing cannot carry a payload: the caller erred
"""

from typing import TYPE_CHECKING

from gestalt.core import GestaltError

if TYPE_CHECKING:
    from .framings.base import Frame


class NetError(GestaltError):
    """The root of what the network endpoints raise."""


class FramingError(NetError, ValueError):
    """Received bytes do not follow the framing; nothing after them can be read.

    Attributes:
        frames: the complete frames that came before the fault, in the same piece of data.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.frames: list[Frame] = []


class FrameTooLarge(FramingError):  # noqa: N818 - reads as what happened
    """A frame announces, or has reached, more bytes than the framing's `max_size`."""


class IncompleteFrame(FramingError, EOFError):  # noqa: N818 - reads as what happened
    """The stream ended within a frame."""


class PayloadError(NetError, ValueError):
    """A payload, or its type identifier, that the framing cannot carry."""
