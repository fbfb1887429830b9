"""TLS by file names, and what a connection has agreed upon."""

import ssl
from dataclasses import dataclass
from os import PathLike
from typing import Any, Self

Path = str | PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS settings by the names of PEM files. Wherever one may stand, an `ssl.SSLContext` may, too.

    A server needs a certificate; with `ca` it also demands one of its clients (mutual TLS). A
    client verifies the server by `ca`, by default the system's, and shows its certificate, if any.

    Args:
        certificate: the file of our certificate, followed by those between it and the authority.
        key: the file of its private key; by default it is in the file of the certificate.
        password: of the private key.
        ca: the file with the authorities that the other end's certificate must be signed by.
        server_name: what a client expects the server's certificate to be for; by default the host
            that it connects to.
    """

    certificate: Path | None = None
    key: Path | None = None
    password: str | None = None
    ca: Path | None = None
    server_name: str | None = None

    def server_context(self) -> ssl.SSLContext:
        """A context for a server.

        Raises:
            ValueError: there is no certificate.
            OSError: a file cannot be read, or is no certificate or key (ssl.SSLError).
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        if self.ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        self.load_certificate(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A context for a client.

        Raises:
            OSError: a file cannot be read, or is no certificate or key (ssl.SSLError).
        """
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.ca)
        if self.certificate is not None:
            self.load_certificate(context)
        return context

    def load_certificate(self, context: ssl.SSLContext) -> None:
        """Read the certificate and key again; connections made from now on use them."""
        if self.certificate is None:
            raise ValueError("a certificate is needed: Tls(certificate=..., key=...)")
        context.load_cert_chain(self.certificate, self.key, self.password)


# What OpenSSL says less clearly.
_REASONS = {
    "HTTP_REQUEST": "it speaks HTTP, not TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
}


def confirmed(client: ssl.SSLObject) -> bool:
    """Whether the server is known to have completed the handshake with this client, too.

    In TLS 1.3, its session tickets show that (RFC 8446, section 4.6.1); a server may send none.
    """
    session = client.session
    # There is no version any more after a fatal alert.
    return client.version() not in ("TLSv1.3", None) or (session is not None and session.has_ticket)


def reason_of(error: Exception) -> str:
    """Why a handshake failed, in words; "it" is the other end."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return _REASONS.get(error.reason) or error.reason.lower().replace("_", " ")
    if isinstance(error, ConnectionResetError) and not str(error):
        return "it closed the connection"
    return str(error) or type(error).__name__


@dataclass(frozen=True, slots=True)
class TlsDetails:
    """What a TLS connection has agreed upon.

    Args:
        version: such as "TLSv1.3".
        cipher: the name of the cipher suite.
        certificate: the other end's verified certificate, as `ssl.SSLSocket.getpeercert` gives it;
            empty where it showed none.
        alpn: the application protocol that ALPN selected, or None.
    """

    version: str
    cipher: str
    certificate: dict[str, Any]
    alpn: str | None

    @classmethod
    def of(cls, ssl_object: ssl.SSLObject) -> Self:
        """Read the details from the ssl module's object."""
        cipher = ssl_object.cipher()
        return cls(
            ssl_object.version() or "",
            cipher[0] if cipher else "",
            ssl_object.getpeercert() or {},
            ssl_object.selected_alpn_protocol(),
        )
