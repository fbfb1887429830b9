"""The endpoints of gestalt 20.1.1, as echo servers and, on demand, as echo clients.

Runs in an environment of its own, where `gestalt` is that release. Prints its servers' ports by
protocol as JSON. A line `PROTOCOL PORT` on the standard input makes it connect there. It ends with
the standard input.
"""

import asyncio
import json
import sys

from gestalt.datagram.mti import MtiDatagramEndpoint
from gestalt.serialization import CONTENT_TYPE_DATA, CONTENT_TYPE_JSON
from gestalt.stream.mti import MtiStreamClient, MtiStreamServer
from gestalt.stream.netstring import NetstringStreamClient, NetstringStreamServer

PROTOCOLS = {
    "mti": (MtiStreamServer, MtiStreamClient, CONTENT_TYPE_DATA, b"hello"),
    "mti-json": (MtiStreamServer, MtiStreamClient, CONTENT_TYPE_JSON, "hello"),
    "netstring": (NetstringStreamServer, NetstringStreamClient, CONTENT_TYPE_DATA, b"hello"),
}


def echo(endpoint, body, peer_id, type_identifier=0, identifier=0):
    # For a message without a body, this release calls the type "identifier".
    endpoint.send(body, peer_id=peer_id, type_identifier=type_identifier or identifier)


def echo_datagram(endpoint, body, addr=None, type_identifier=0, **_):
    endpoint.send(body, addr=addr, type_identifier=type_identifier)


def without_reuse_address(create):
    """Leave out what Python 3.11 does not take any more, and this release still gives."""
    return lambda *args, reuse_address=None, **options: create(*args, **options)


async def connect(name, port):
    if name == "udp-mti":
        endpoint = MtiDatagramEndpoint(on_message=echo_datagram)
        await endpoint.start(remote_addr=("127.0.0.1", port))
        endpoint.send(b"hello", type_identifier=9)
        return endpoint
    _, client, content_type, hello = PROTOCOLS[name]
    endpoint = client(
        on_message=echo,
        on_peer_available=lambda endpoint, _: endpoint.send(hello, type_identifier=9),
        content_type=content_type,
    )
    await endpoint.start("127.0.0.1", port, reconnect=False)
    return endpoint


async def main():
    loop = asyncio.get_running_loop()
    loop.create_datagram_endpoint = without_reuse_address(loop.create_datagram_endpoint)
    ports = {}
    endpoints = []
    for name, (server, _, content_type, _) in PROTOCOLS.items():
        endpoint = server(on_message=echo, content_type=content_type)
        await endpoint.start("127.0.0.1", 0)
        endpoints.append(endpoint)
        ports[name] = endpoint.bindings[0][1]
    datagrams = MtiDatagramEndpoint(on_message=echo_datagram)
    await datagrams.start(local_addr=("127.0.0.1", 0))
    endpoints.append(datagrams)
    ports["udp-mti"] = datagrams.bindings[0][1]
    print(json.dumps(ports), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, port = line.split()
        endpoints.append(await connect(name, int(port)))


asyncio.run(main())
