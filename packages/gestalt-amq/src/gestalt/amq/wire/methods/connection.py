"""The methods of the classes connection, channel and access."""

from typing import NamedTuple

from .types import EMPTY, Bit, Fields, Long, LongStr, Octet, Short, ShortStr


class ConnectionStart(NamedTuple):
    version_major: Octet = 0
    version_minor: Octet = 9
    server_properties: Fields = EMPTY
    mechanisms: LongStr = b"PLAIN"
    locales: LongStr = b"en_US"


class ConnectionStartOk(NamedTuple):
    client_properties: Fields = EMPTY
    mechanism: ShortStr = "PLAIN"
    response: LongStr = b""
    locale: ShortStr = "en_US"


class ConnectionSecure(NamedTuple):
    challenge: LongStr = b""


class ConnectionSecureOk(NamedTuple):
    response: LongStr = b""


class ConnectionTune(NamedTuple):
    channel_max: Short = 0
    frame_max: Long = 0
    heartbeat: Short = 0


class ConnectionTuneOk(NamedTuple):
    channel_max: Short = 0
    frame_max: Long = 0
    heartbeat: Short = 0


class ConnectionOpen(NamedTuple):
    virtual_host: ShortStr = "/"
    reserved_1: ShortStr = ""
    reserved_2: Bit = False


class ConnectionOpenOk(NamedTuple):
    reserved_1: ShortStr = ""


class ConnectionClose(NamedTuple):
    reply_code: Short = 200
    reply_text: ShortStr = ""
    class_id: Short = 0
    method_id: Short = 0


class ConnectionCloseOk(NamedTuple):
    """connection.close-ok: no fields."""


class ConnectionBlocked(NamedTuple):
    reason: ShortStr = ""


class ConnectionUnblocked(NamedTuple):
    """connection.unblocked: no fields."""


class ConnectionUpdateSecret(NamedTuple):
    new_secret: LongStr = b""
    reason: ShortStr = ""


class ConnectionUpdateSecretOk(NamedTuple):
    """connection.update-secret-ok: no fields."""


class ChannelOpen(NamedTuple):
    reserved_1: ShortStr = ""


class ChannelOpenOk(NamedTuple):
    reserved_1: LongStr = b""


class ChannelFlow(NamedTuple):
    active: Bit = True


class ChannelFlowOk(NamedTuple):
    active: Bit = True


class ChannelClose(NamedTuple):
    reply_code: Short = 200
    reply_text: ShortStr = ""
    class_id: Short = 0
    method_id: Short = 0


class ChannelCloseOk(NamedTuple):
    """channel.close-ok: no fields."""


class AccessRequest(NamedTuple):
    realm: ShortStr = ""
    exclusive: Bit = False
    passive: Bit = False
    active: Bit = False
    write: Bit = False
    read: Bit = False


class AccessRequestOk(NamedTuple):
    ticket: Short = 1
