"""How messages are told apart in a stream of bytes: pure values and functions, without I/O."""

from .base import Decoder, Frame, Frames, Framing, TypeIds, frames_left
from .delimited import Delimited
from .length_prefix import LengthPrefix
from .mti import Mti
from .netstring import Netstring
from .raw import Raw

__all__ = [
    "Decoder",
    "Delimited",
    "Frame",
    "Frames",
    "Framing",
    "LengthPrefix",
    "Mti",
    "Netstring",
    "Raw",
    "TypeIds",
    "frames_left",
]
