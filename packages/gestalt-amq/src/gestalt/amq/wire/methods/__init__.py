"""The methods of AMQP 0-9-1 with RabbitMQ's extensions, one immutable class for each.

The fields stand in the order of the wire, the bits that share a byte as separate fields. Names and
numbers: https://www.rabbitmq.com/amqp-0-9-1-reference.
"""

from typing import TypeAlias

from .basic import BasicAck as BasicAck
from .basic import BasicCancel as BasicCancel
from .basic import BasicCancelOk as BasicCancelOk
from .basic import BasicConsume as BasicConsume
from .basic import BasicConsumeOk as BasicConsumeOk
from .basic import BasicDeliver as BasicDeliver
from .basic import BasicGet as BasicGet
from .basic import BasicGetEmpty as BasicGetEmpty
from .basic import BasicGetOk as BasicGetOk
from .basic import BasicNack as BasicNack
from .basic import BasicPublish as BasicPublish
from .basic import BasicQos as BasicQos
from .basic import BasicQosOk as BasicQosOk
from .basic import BasicRecover as BasicRecover
from .basic import BasicRecoverAsync as BasicRecoverAsync
from .basic import BasicRecoverOk as BasicRecoverOk
from .basic import BasicReject as BasicReject
from .basic import BasicReturn as BasicReturn
from .basic import ConfirmSelect as ConfirmSelect
from .basic import ConfirmSelectOk as ConfirmSelectOk
from .basic import TxCommit as TxCommit
from .basic import TxCommitOk as TxCommitOk
from .basic import TxRollback as TxRollback
from .basic import TxRollbackOk as TxRollbackOk
from .basic import TxSelect as TxSelect
from .basic import TxSelectOk as TxSelectOk
from .connection import AccessRequest as AccessRequest
from .connection import AccessRequestOk as AccessRequestOk
from .connection import ChannelClose as ChannelClose
from .connection import ChannelCloseOk as ChannelCloseOk
from .connection import ChannelFlow as ChannelFlow
from .connection import ChannelFlowOk as ChannelFlowOk
from .connection import ChannelOpen as ChannelOpen
from .connection import ChannelOpenOk as ChannelOpenOk
from .connection import ConnectionBlocked as ConnectionBlocked
from .connection import ConnectionClose as ConnectionClose
from .connection import ConnectionCloseOk as ConnectionCloseOk
from .connection import ConnectionOpen as ConnectionOpen
from .connection import ConnectionOpenOk as ConnectionOpenOk
from .connection import ConnectionSecure as ConnectionSecure
from .connection import ConnectionSecureOk as ConnectionSecureOk
from .connection import ConnectionStart as ConnectionStart
from .connection import ConnectionStartOk as ConnectionStartOk
from .connection import ConnectionTune as ConnectionTune
from .connection import ConnectionTuneOk as ConnectionTuneOk
from .connection import ConnectionUnblocked as ConnectionUnblocked
from .connection import ConnectionUpdateSecret as ConnectionUpdateSecret
from .connection import ConnectionUpdateSecretOk as ConnectionUpdateSecretOk
from .topology import ExchangeBind as ExchangeBind
from .topology import ExchangeBindOk as ExchangeBindOk
from .topology import ExchangeDeclare as ExchangeDeclare
from .topology import ExchangeDeclareOk as ExchangeDeclareOk
from .topology import ExchangeDelete as ExchangeDelete
from .topology import ExchangeDeleteOk as ExchangeDeleteOk
from .topology import ExchangeUnbind as ExchangeUnbind
from .topology import ExchangeUnbindOk as ExchangeUnbindOk
from .topology import QueueBind as QueueBind
from .topology import QueueBindOk as QueueBindOk
from .topology import QueueDeclare as QueueDeclare
from .topology import QueueDeclareOk as QueueDeclareOk
from .topology import QueueDelete as QueueDelete
from .topology import QueueDeleteOk as QueueDeleteOk
from .topology import QueuePurge as QueuePurge
from .topology import QueuePurgeOk as QueuePurgeOk
from .topology import QueueUnbind as QueueUnbind
from .topology import QueueUnbindOk as QueueUnbindOk

Method: TypeAlias = (
    ConnectionStart
    | ConnectionStartOk
    | ConnectionSecure
    | ConnectionSecureOk
    | ConnectionTune
    | ConnectionTuneOk
    | ConnectionOpen
    | ConnectionOpenOk
    | ConnectionClose
    | ConnectionCloseOk
    | ConnectionBlocked
    | ConnectionUnblocked
    | ConnectionUpdateSecret
    | ConnectionUpdateSecretOk
    | ChannelOpen
    | ChannelOpenOk
    | ChannelFlow
    | ChannelFlowOk
    | ChannelClose
    | ChannelCloseOk
    | AccessRequest
    | AccessRequestOk
    | ExchangeDeclare
    | ExchangeDeclareOk
    | ExchangeDelete
    | ExchangeDeleteOk
    | ExchangeBind
    | ExchangeBindOk
    | ExchangeUnbind
    | ExchangeUnbindOk
    | QueueDeclare
    | QueueDeclareOk
    | QueueBind
    | QueueBindOk
    | QueuePurge
    | QueuePurgeOk
    | QueueDelete
    | QueueDeleteOk
    | QueueUnbind
    | QueueUnbindOk
    | BasicQos
    | BasicQosOk
    | BasicConsume
    | BasicConsumeOk
    | BasicCancel
    | BasicCancelOk
    | BasicPublish
    | BasicReturn
    | BasicDeliver
    | BasicGet
    | BasicGetOk
    | BasicGetEmpty
    | BasicAck
    | BasicReject
    | BasicRecoverAsync
    | BasicRecover
    | BasicRecoverOk
    | BasicNack
    | ConfirmSelect
    | ConfirmSelectOk
    | TxSelect
    | TxSelectOk
    | TxCommit
    | TxCommitOk
    | TxRollback
    | TxRollbackOk
)

# The class and method number of each method, as one number of 32 bits.
INDEX: dict[type[Method], int] = {
    ConnectionStart: 0x000A_000A,
    ConnectionStartOk: 0x000A_000B,
    ConnectionSecure: 0x000A_0014,
    ConnectionSecureOk: 0x000A_0015,
    ConnectionTune: 0x000A_001E,
    ConnectionTuneOk: 0x000A_001F,
    ConnectionOpen: 0x000A_0028,
    ConnectionOpenOk: 0x000A_0029,
    ConnectionClose: 0x000A_0032,
    ConnectionCloseOk: 0x000A_0033,
    ConnectionBlocked: 0x000A_003C,
    ConnectionUnblocked: 0x000A_003D,
    ConnectionUpdateSecret: 0x000A_0046,
    ConnectionUpdateSecretOk: 0x000A_0047,
    ChannelOpen: 0x0014_000A,
    ChannelOpenOk: 0x0014_000B,
    ChannelFlow: 0x0014_0014,
    ChannelFlowOk: 0x0014_0015,
    ChannelClose: 0x0014_0028,
    ChannelCloseOk: 0x0014_0029,
    AccessRequest: 0x001E_000A,
    AccessRequestOk: 0x001E_000B,
    ExchangeDeclare: 0x0028_000A,
    ExchangeDeclareOk: 0x0028_000B,
    ExchangeDelete: 0x0028_0014,
    ExchangeDeleteOk: 0x0028_0015,
    ExchangeBind: 0x0028_001E,
    ExchangeBindOk: 0x0028_001F,
    ExchangeUnbind: 0x0028_0028,
    ExchangeUnbindOk: 0x0028_0033,
    QueueDeclare: 0x0032_000A,
    QueueDeclareOk: 0x0032_000B,
    QueueBind: 0x0032_0014,
    QueueBindOk: 0x0032_0015,
    QueuePurge: 0x0032_001E,
    QueuePurgeOk: 0x0032_001F,
    QueueDelete: 0x0032_0028,
    QueueDeleteOk: 0x0032_0029,
    QueueUnbind: 0x0032_0032,
    QueueUnbindOk: 0x0032_0033,
    BasicQos: 0x003C_000A,
    BasicQosOk: 0x003C_000B,
    BasicConsume: 0x003C_0014,
    BasicConsumeOk: 0x003C_0015,
    BasicCancel: 0x003C_001E,
    BasicCancelOk: 0x003C_001F,
    BasicPublish: 0x003C_0028,
    BasicReturn: 0x003C_0032,
    BasicDeliver: 0x003C_003C,
    BasicGet: 0x003C_0046,
    BasicGetOk: 0x003C_0047,
    BasicGetEmpty: 0x003C_0048,
    BasicAck: 0x003C_0050,
    BasicReject: 0x003C_005A,
    BasicRecoverAsync: 0x003C_0064,
    BasicRecover: 0x003C_006E,
    BasicRecoverOk: 0x003C_006F,
    BasicNack: 0x003C_0078,
    ConfirmSelect: 0x0055_000A,
    ConfirmSelectOk: 0x0055_000B,
    TxSelect: 0x005A_000A,
    TxSelectOk: 0x005A_000B,
    TxCommit: 0x005A_0014,
    TxCommitOk: 0x005A_0015,
    TxRollback: 0x005A_001E,
    TxRollbackOk: 0x005A_001F,
}
