"""The beginning of a connection, from the protocol header until it is open; sans-IO.

client                         broker
protocol header        ->
                       <-      connection.start
connection.start-ok    ->
                       <-      connection.tune
connection.tune-ok     ->
connection.open        ->
                       <-      connection.open-ok
"""

from collections.abc import Mapping

from gestalt.amq.embedded.model.versions import Semantics
from gestalt.amq.wire import FRAME_MIN_SIZE, AmqpError, FieldValue
from gestalt.amq.wire.methods import (
    ConnectionOpen,
    ConnectionStart,
    ConnectionStartOk,
    ConnectionTune,
    ConnectionTuneOk,
    Method,
)

from .authentication import authenticate, mechanisms
from .settings import Settings

_CAPABILITIES: Mapping[str, FieldValue] = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "consumer_priorities": True,
    "direct_reply_to": True,
    "exchange_exchange_bindings": True,
    "per_consumer_qos": True,
    "publisher_confirms": True,
}
_SERVER_PROPERTIES: Mapping[str, FieldValue] = {
    "capabilities": dict(_CAPABILITIES),
    # Clients look here for what they may expect; kombu, for one, of basic.qos.
    "product": "RabbitMQ",
    "platform": "Gestalt embedded broker",
    "cluster_name": "gestalt@localhost",
    "copyright": "",
    "information": "For development, tests and demos. In production, use RabbitMQ.",
}


class Negotiation:
    """What was agreed upon with a client so far.

    Args:
        settings: the broker's settings.
        semantics: what holds for the version of RabbitMQ that the broker is like.
        certificate_name: the common name in the client's certificate, or None without any.

    Attributes:
        user: the name of the user.
        frame_max, channel_max, heartbeat: what the client chose.
        client_properties: what the client has told of itself.
        capabilities: what the client can do.
        virtual_host: the name of the virtual host; None until the connection is open.
    """

    def __init__(
        self, settings: Settings, semantics: Semantics, certificate_name: str | None
    ) -> None:
        self._settings = settings
        self._semantics = semantics
        self._certificate_name = certificate_name
        self._expected: type[Method] = ConnectionStartOk
        self.user = ""
        self.frame_max = FRAME_MIN_SIZE
        self.channel_max = settings.channel_max
        self.heartbeat = 0
        self.client_properties: Mapping[str, FieldValue] = {}
        self.capabilities: Mapping[str, FieldValue] = {}
        self.virtual_host: str | None = None

    @property
    def tuned(self) -> bool:
        """Whether the limits are agreed upon; before that, errors are not told to the client."""
        return self._expected is ConnectionOpen

    def start(self) -> Method:
        """Return what to send when the client's protocol header is good."""
        # Clients look at the version for what RabbitMQ can do.
        properties = {**_SERVER_PROPERTIES, "version": self._semantics.version}
        offered = mechanisms(self._certificate_name, anonymous=self._semantics.anonymous)
        return ConnectionStart(0, 9, properties, offered, b"en_US")

    def receive(self, method: Method) -> Method | None:
        """Take the client's next method, and return the answer if there is one.

        Raises:
            AmqpError: it is not the method that is due, or not acceptable.
        """
        if type(method) is not self._expected:  # pragma: no cover - a client that is none
            raise AmqpError(
                "CHANNEL_ERROR", f"unexpected method {type(method).__name__} in the handshake"
            )
        match method:
            case ConnectionStartOk():
                return self._start_ok(method)
            case ConnectionTuneOk():
                self._tune_ok(method)
            case ConnectionOpen():  # pragma: no branch - for type checkers
                self.virtual_host = method.virtual_host
        return None

    def _start_ok(self, method: ConnectionStartOk) -> Method:
        self.client_properties = method.client_properties
        capabilities = method.client_properties.get("capabilities")
        if isinstance(capabilities, Mapping):
            self.capabilities = capabilities
        self.user = authenticate(
            method.mechanism,
            method.response,
            self._settings.users,
            self._certificate_name,
            anonymous=self._semantics.anonymous,
        )
        self._expected = ConnectionTuneOk
        settings = self._settings
        return ConnectionTune(settings.channel_max, settings.frame_max, settings.heartbeat)

    def _tune_ok(self, method: ConnectionTuneOk) -> None:
        settings = self._settings
        _check_tuned("frame_max", method.frame_max, FRAME_MIN_SIZE, settings.frame_max)
        _check_tuned("channel_max", method.channel_max, 1, settings.channel_max)
        self.frame_max = method.frame_max
        self.channel_max = method.channel_max
        self.heartbeat = method.heartbeat
        self._expected = ConnectionOpen


def _check_tuned(name: str, value: int, lowest: int, highest: int) -> None:
    if lowest <= value <= highest:
        return
    # Zero asks for no limit, which is more than the broker allows.
    side, bound, limit = (
        ("lower", "minimum", lowest) if 0 < value < lowest else ("higher", "maximum", highest)
    )
    raise AmqpError(
        "NOT_ALLOWED",
        f"negotiated {name} = {value} is {side} than the {bound} allowed value ({limit})",
    )
