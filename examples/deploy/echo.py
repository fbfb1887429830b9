"""An application to deploy: `gestalt run echo:server` says again what each peer says.

ECHO_ADDRESS is where it listens: a port, which several processes may share, or `systemd://echo`,
what systemd has opened for it.
"""

import os

from gestalt.net import Delimited, StreamMessage, StreamServer, Wire


async def echo(message: StreamMessage[bytes]) -> None:
    await message.reply(message.body)


server = StreamServer(
    os.environ.get("ECHO_ADDRESS", "tcp://0.0.0.0:9000"),
    Wire(Delimited()),
    on_message=echo,
    reuse_port=True,
    name="echo",
)
