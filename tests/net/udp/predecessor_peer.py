"""The MTI datagram endpoint of gestalt 20.1.1, which echoes.

Runs in an environment of its own, where `gestalt` is that release. Prints its port. A line with a
port on the standard input makes another endpoint send "hello" there, as type 9, and echo what comes
back. It ends with the standard input.
"""

import asyncio
import sys

from gestalt.datagram.mti import MtiDatagramEndpoint


def echo(endpoint, body, addr=None, type_identifier=0, **_):
    endpoint.send(body, addr=addr, type_identifier=type_identifier)


def without_reuse_address(create):
    """Leave out what Python 3.11 does not take any more, and this release still gives."""
    return lambda *args, reuse_address=None, **options: create(*args, **options)


async def main():
    loop = asyncio.get_running_loop()
    loop.create_datagram_endpoint = without_reuse_address(loop.create_datagram_endpoint)
    server = MtiDatagramEndpoint(on_message=echo)
    await server.start(local_addr=("127.0.0.1", 0))
    print(server.bindings[0][1], flush=True)
    endpoints = [server]
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        client = MtiDatagramEndpoint(on_message=echo)
        await client.start(remote_addr=("127.0.0.1", int(line)))
        client.send(b"hello", type_identifier=9)
        endpoints.append(client)


asyncio.run(main())
