"""How messages are told apart in a stream of bytes: pure values and functions, without I/O."""

from .base import Decoder as Decoder
from .base import Frame as Frame
from .base import Frames as Frames
from .base import Framing as Framing
from .base import TypeIds as TypeIds
from .base import frames_left as frames_left
from .delimited import Delimited as Delimited
from .length_prefix import LengthPrefix as LengthPrefix
from .mti import Mti as Mti
from .netstring import Netstring as Netstring
from .raw import Raw as Raw
