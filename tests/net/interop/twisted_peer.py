"""Twisted's framed protocols, each as an echo server and, on demand, as an echo client.

Prints its servers' ports by protocol as JSON. A line `PROTOCOL PORT` on the standard input makes
it connect there. It ends with the standard input.
"""

import json
import sys
import threading
from typing import Any

from twisted.internet import endpoints, protocol, reactor
from twisted.protocols import basic


class Netstring(basic.NetstringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


class Int32(basic.Int32StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


class Int16(basic.Int16StringReceiver):
    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


class Line(basic.LineReceiver):
    MAX_LENGTH = 100_000

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line)

    sendString = basic.LineReceiver.sendLine


PROTOCOLS: dict[str, Any] = {"netstring": Netstring, "int32": Int32, "int16": Int16, "line": Line}


def greeting(echo: Any) -> type[Any]:
    class Greeting(echo):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.sendString(b"hello")

    return Greeting


def connect(name: str, port: int) -> None:
    endpoint = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    endpoint.connect(protocol.Factory.forProtocol(greeting(PROTOCOLS[name])))


def obey() -> None:
    for line in sys.stdin:
        name, port = line.split()
        reactor.callFromThread(connect, name, int(port))
    reactor.callFromThread(reactor.stop)


ports = {}
for name, echo in PROTOCOLS.items():
    factory = protocol.Factory.forProtocol(echo)
    ports[name] = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
print(json.dumps(ports), flush=True)
threading.Thread(target=obey, daemon=True).start()
reactor.run()
