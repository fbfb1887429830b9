"""The wire layer: AMQP 0-9-1 to bytes and back, for either side of a connection.

It does no input or output, knows no asyncio, and nothing of what is built on it. The general form
is in `codec` and `decoder`: every method, with its content. What comes or goes with every message
has a faster form beside it that gives the same: `frames` to write, `demultiplexer` to read.

`codec`, `decoder` and `methods` are imported by their names: a client of these few frames is to
start without their sixty classes.
"""

from .delivery import Delivery as Delivery
from .delivery import Got as Got
from .demultiplexer import ConnectionSink as ConnectionSink
from .demultiplexer import Demultiplexer as Demultiplexer
from .demultiplexer import PartialContent as PartialContent
from .demultiplexer import Sink as Sink
from .errors import REPLY_CODES as REPLY_CODES
from .errors import AmqpError as AmqpError
from .errors import FieldError as FieldError
from .errors import FieldTypeError as FieldTypeError
from .errors import NestingError as NestingError
from .errors import WireError as WireError
from .errors import shown as shown
from .frames import FRAME_MIN_SIZE as FRAME_MIN_SIZE
from .frames import HEARTBEAT_FRAME as HEARTBEAT_FRAME
from .frames import PROTOCOL_HEADER as PROTOCOL_HEADER
from .frames import ack_frame as ack_frame
from .frames import content_frames as content_frames
from .frames import content_parts as content_parts
from .frames import get_frame as get_frame
from .frames import nack_frame as nack_frame
from .frames import publish_frame as publish_frame
from .frames import update_secret_frame as update_secret_frame
from .properties import CONTENT_HEADER as CONTENT_HEADER
from .properties import PERSISTENT as PERSISTENT
from .properties import TRANSIENT as TRANSIENT
from .properties import Properties as Properties
from .properties import content_header as content_header
from .properties import decode_properties as decode_properties
from .properties import encode_properties as encode_properties
from .properties import read_properties as read_properties
from .properties import split_headers as split_headers
from .raw import TYPE_NAMES as TYPE_NAMES
from .raw import RawValue as RawValue
from .raw import raw_name as raw_name
from .raw import split_array as split_array
from .raw import split_table as split_table
from .strings import encode_short_string as encode_short_string
from .tables import MAX_DEPTH as MAX_DEPTH
from .tables import Arguments as Arguments
from .tables import FieldValue as FieldValue
from .tables import Long as Long
from .tables import decode_arguments as decode_arguments
from .tables import decode_table as decode_table
from .tables import decode_value as decode_value
from .tables import encode_table as encode_table
from .template import PropertiesTemplate as PropertiesTemplate
