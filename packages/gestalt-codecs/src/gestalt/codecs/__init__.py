"""Typed, bounded and fast serialization and compression of messages.

    codec = Codec("json", compress="gzip")
    encoded = codec.encode({"lat": -34.9, "lon": 138.6})
    assert codec.decode(encoded.body) == {"lat": -34.9, "lon": 138.6}

What is here, by subject; `help(gestalt.codecs.Codec)` tells all of one name:

- Codecs: `Codec` is one format and one compressor, `Codecs` are several at once; `Encoded` is a
  message in bytes
- Types of messages: `MessageTypes` has each `MessageType`, by number and by name; `Avro` is one by
  its schema
- Formats of your own: a `Serializer` makes `Functions`, a `Compressor` makes bytes fewer;
  `CODING_TAGS` stand for compressors on sockets
- Errors: all are here, too; their tree is in gestalt.codecs.errors
"""

from .avro import Avro as Avro
from .codec import Codec as Codec
from .codec import Encoded as Encoded
from .codecs import Codecs as Codecs
from .compressor import Compressor as Compressor
from .errors import CodecError as CodecError
from .errors import CodecNotInstalled as CodecNotInstalled
from .errors import ContentNotAllowed as ContentNotAllowed
from .errors import DecodeError as DecodeError
from .errors import DecompressError as DecompressError
from .errors import EncodeError as EncodeError
from .errors import SchemaError as SchemaError
from .errors import TooDeep as TooDeep
from .errors import TooLarge as TooLarge
from .errors import TrailingData as TrailingData
from .errors import Truncated as Truncated
from .errors import UnknownCodec as UnknownCodec
from .errors import UnknownType as UnknownType
from .errors import UnregisteredType as UnregisteredType
from .errors import ValidationError as ValidationError
from .registry import CODING_TAGS as CODING_TAGS
from .serializer import Functions as Functions
from .serializer import Serializer as Serializer
from .types import MessageType as MessageType
from .types import MessageTypes as MessageTypes
