"""TCP, TLS and unix endpoints that exchange typed messages."""

from .errors import FrameTooLarge, FramingError, IncompleteFrame, NetError, PayloadError
from .framings import Decoder, Delimited, Frame, Framing, LengthPrefix, Mti, Netstring, Raw

__all__ = [
    "Decoder",
    "Delimited",
    "Frame",
    "FrameTooLarge",
    "Framing",
    "FramingError",
    "IncompleteFrame",
    "LengthPrefix",
    "Mti",
    "NetError",
    "Netstring",
    "PayloadError",
    "Raw",
]
