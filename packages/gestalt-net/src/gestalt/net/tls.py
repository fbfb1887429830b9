"""TLS by file names, and what a connection has agreed upon."""

import os
import pathlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Self

from .certificates import CertificateNames

Path = str | PathLike[str]
Password = str | bytes | Callable[[], str | bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS settings by the names of PEM files. Wherever one may stand, an `ssl.SSLContext` may, too.

    A server needs a certificate; with `ca` it also demands one of its clients (mutual TLS). A
    client verifies the server by `ca`, by default the system's, and shows its certificate, if any.

    A server reads the files when it starts and at `reload_tls`, a client whenever it connects: so
    it uses what has been renewed. A client reads them in a thread.

    Args:
        certificate: the file of our certificate, followed by those between it and the authority.
        key: the file of its private key; by default it is in the file of the certificate.
        password: of the private key, or a function that returns it; it is called when the key is
            read, at a client in a thread. Nobody is asked for it at the terminal.
        ca: the file with the authorities that the other end's certificate must be signed by.
        server_name: what a client expects the server's certificate to be for; by default the host
            that it connects to. Over a unix socket, which has none, any name will do without it.
    """

    certificate: Path | None = None
    key: Path | None = None
    password: Password | None = field(default=None, repr=False)
    ca: Path | None = None
    server_name: str | None = None

    def server_context(self) -> ssl.SSLContext:
        """A context for a server, from what the files have in them now.

        Raises:
            ValueError: there is no certificate.
            OSError: a file cannot be read, or is no certificate or key (ssl.SSLError); it is named.
        """
        if self.certificate is None:
            raise ValueError("a certificate is needed: Tls(certificate=..., key=...)")
        context = self._context(ssl.Purpose.CLIENT_AUTH)
        if self.ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext:
        """A context for a client, from what the files have in them now.

        Raises:
            ValueError: there is a key without a certificate.
            OSError: a file cannot be read, or is no certificate or key (ssl.SSLError); it is named.
        """
        if self.certificate is None and self.key is not None:
            raise ValueError(f"the key {_name(self.key)} lacks its certificate: Tls(certificate=)")
        return self._context(ssl.Purpose.SERVER_AUTH)

    def _context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        self._check_files()
        try:
            return self._read(purpose)
        except OSError as error:
            if not isinstance(error, ssl.SSLError):  # pragma: no cover - it goes between two looks
                # It has vanished meanwhile.
                self._check_files()
            raise

    def _check_files(self) -> None:
        for role, path in (("certificate", self.certificate), ("key", self.key), ("ca", self.ca)):
            if path is not None:
                _check_file(role, path)

    def _read(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(purpose, cafile=self.ca)
        except ssl.SSLError as error:
            raise _unusable("ca", self.ca, "holds no usable certificates in PEM") from error
        if self.certificate is not None:
            self._load_certificate(context, self.certificate, self.key)
        return context

    def _load_certificate(
        self, context: ssl.SSLContext, certificate: Path, key: Path | None
    ) -> None:
        asked = False

        def password() -> str | bytes:
            # Where there is no function, OpenSSL asks at the terminal, and blocks the event loop.
            nonlocal asked
            asked = True
            given = self.password
            return (given() if callable(given) else given) or b""

        try:
            context.load_cert_chain(certificate, key, password)
        except ssl.SSLError as error:
            role, path = ("certificate", certificate) if key is None else ("key", key)
            if error.reason == "KEY_VALUES_MISMATCH":
                what = f"is not that of the certificate {_name(certificate)}"
                raise _unusable("key", path, what) from error
            if asked and self.password is None:
                what = "has a key that is encrypted: Tls(password=...) is needed"
            elif asked:
                what = "has a key that the password does not decrypt"
            elif not _holds_certificate(certificate):
                role, path, what = "certificate", certificate, "holds no usable certificate in PEM"
            else:
                what = "holds no usable private key in PEM"
            raise _unusable(role, path, what) from error


def _check_file(role: str, path: Path) -> None:
    """Raise an OSError that says which file cannot be read: OpenSSL names none."""
    try:
        # Opening and closing a pipe would end whoever writes to it.
        if not pathlib.Path(path).is_fifo():
            with pathlib.Path(path).open("rb"):
                pass
    except OSError as error:
        what = f"the TLS {role} file cannot be read: {error.strerror}"
        raise OSError(error.errno, what, os.fspath(path)) from error


def _holds_certificate(path: Path) -> bool:
    if not pathlib.Path(path).is_file():
        return True  # what was read of a pipe is gone
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True


def _unusable(role: str, path: Path | None, what: str) -> ssl.SSLError:
    return ssl.SSLError(ssl.SSL_ERROR_SSL, f"the TLS {role} file {_name(path)} {what}")


def _name(path: Path | None) -> str:
    return repr(os.fspath(path or ""))


# What OpenSSL says less clearly.
_REASONS = {
    "HTTP_REQUEST": "it speaks HTTP, not TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
}


class HalfClosingTls(ssl.SSLObject):
    """Tells of the other end's close_notify, and lets us go on to write.

    It ends what the other end sends, and nothing else (RFC 8446, section 6.1). But the event loops
    close at once when they read it, and drop what is written afterwards without a word.
    """

    on_end: Callable[[], None] | None = None
    """What is told; without it, the end is read as ever."""

    ended = False

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        """Read decrypted data; after the other end's last, there is never any more."""
        data = super().read(len, buffer)
        if data or self.on_end is None:
            return data
        if not self.ended:
            self.ended = True
            self.on_end()
        raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the other end writes no more")


def half_closing(context: ssl.SSLContext) -> ssl.SSLContext:
    """Have a context make HalfClosingTls, unless it makes something of its user's."""
    if context.sslobject_class is ssl.SSLObject:
        context.sslobject_class = HalfClosingTls
    return context


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
    reason: str | None = getattr(error, "reason", None)
    if isinstance(error, ssl.SSLError) and reason:
        return _REASONS.get(reason) or reason.lower().replace("_", " ")
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

    @property
    def names(self) -> CertificateNames:
        """The names in the other end's certificate; all empty where it showed none."""
        return CertificateNames.of(self.certificate)

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
