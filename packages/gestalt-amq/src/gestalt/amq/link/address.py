"""A broker's URL, read once and checked: where it is, who we are there, and what is asked of it."""

import base64
import binascii
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlsplit

PORTS = {"amqp": 5672, "amqps": 5671}
DEFAULT_USER = "guest"
DEFAULT_PASSWORD = "guest"  # noqa: S105 - what every RabbitMQ is installed with, for loopback alone
MAX_HEARTBEAT = 65_535
MAX_CHANNELS = 65_535
MIN_FRAME = 4096
MAX_FRAME = 2**32 - 1
MAX_SHORT_STRING = 255

_AUTHORITY_END = re.compile("[/?#]")
_SEVERAL = "it seems to be several URLs in one string: give a list of them, such as urls.split(';')"


class Certificates(NamedTuple):
    """What the URL says about TLS; the files are read at each connection.

    Attributes:
        authorities: a file of those that vouch for the broker; the system's own by default.
        authorities_path: a folder of such files.
        authorities_data: such a file itself.
        certificate: a file with this client's certificate, and its key where `key` is None.
        key: a file with its key.
        verify: whether the broker has to prove who it is.
        server_name: the name to find in the broker's certificate, in place of the host's.
    """

    authorities: str | None = None
    authorities_path: str | None = None
    authorities_data: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True
    server_name: str | None = None

    def context(self) -> ssl.SSLContext:
        """Read the files. This blocks.

        Raises:
            OSError: a file is not there, or not what it should be.
            ValueError: the key is encrypted.
        """
        try:
            context = ssl.create_default_context(
                cafile=self.authorities,
                capath=self.authorities_path,
                cadata=self.authorities_data,
            )
        except OSError as error:
            named = self.authorities or self.authorities_path or "cadata"
            raise OSError(error.errno, f"the authorities of {named}: {error}") from error
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.key, password=_no_password)
            except OSError as error:
                named = " and ".join(filter(None, [self.certificate, self.key]))
                raise OSError(error.errno, f"the certificate of {named}: {error}") from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _no_password() -> NoReturn:
    # Without this, OpenSSL would ask for it at the terminal, and hold the event loop meanwhile.
    raise ValueError("the key is encrypted: give an ssl.SSLContext that has loaded it as tls=")


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """One broker. Printed, it shows neither the password nor the parameters.

    Attributes:
        host: a name or an IP address.
        auth: "plain", or "external" where a certificate stands for user and password.
        heartbeat, connect_timeout, name: what the URL has in place of the bus's own; in seconds.
        channel_max, frame_max: limits below those of the broker; 0 for none.
        certificates: what it says about TLS, None where it says nothing.
    """

    scheme: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    virtual_host: str
    auth: str = "plain"
    heartbeat: int | None = None
    connect_timeout: float | None = None
    name: str | None = None
    channel_max: int = 0
    frame_max: int = 0
    certificates: Certificates | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        path = quote(self.virtual_host, safe="") if self.virtual_host != "/" else ""
        return f"{self.scheme}://{user}{host}:{self.port}/{path}"

    @property
    def place(self) -> str:
        """The host and the port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(url: str) -> BrokerAddress:
    """Read a URL.

    No error quotes what may be a part of the password, wherever that has gone in a URL that is
    not well formed.

    Raises:
        TypeError: it is not a string.
        ValueError: it is not the URL of a broker, or has a parameter that is not known.
    """
    if not isinstance(url, str):
        raise TypeError(f"a broker's URL is a string, got {type(url).__name__}")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError("it contains white space or a control character: percent-encode it")
    if url.count("://") > 1:
        raise ValueError(_SEVERAL)
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in PORTS:
        raise ValueError("it does not begin with amqp:// or amqps://")
    authority = _AUTHORITY_END.split(rest, maxsplit=1)[0]
    if "@" in rest[len(authority) :] or "#" in url:
        raise ValueError(
            "its user or password has a character of URLs in it: percent-encode them, by "
            "urllib.parse.quote(password, safe='')"
        )
    login, _, where = authority.rpartition("@")
    if "," in where or ";" in where or ("@" in login and ("," in login or ";" in login)):
        raise ValueError(_SEVERAL)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        # Their text quotes the URL.
        raise ValueError(
            "its host or port is malformed; the port is a number from 1 to 65535"
        ) from None
    if not host:
        raise ValueError("it names no host")
    if port == 0:
        raise ValueError("its port is 0; it is a number from 1 to 65535")
    host = _decode(host, "host")
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError("its host is no name of a host") from None
    options = _parameters(parts.query, scheme)
    user, password = _credentials(parts.netloc, options["auth"])
    virtual_host = _decode(parts.path[1:], "virtual host") or "/"
    for what, text in (("user", user), ("virtual host", virtual_host)):
        if len(text.encode()) > MAX_SHORT_STRING:
            raise ValueError(f"its {what} has more than {MAX_SHORT_STRING} bytes")
    return BrokerAddress(
        scheme, host, port or PORTS[scheme], user, password, virtual_host, **options
    )


def _credentials(netloc: str, auth: str) -> tuple[str, str]:
    login, separator, _ = netloc.rpartition("@")
    if not separator:
        return DEFAULT_USER, DEFAULT_PASSWORD
    user, separator, password = (_decode(part, "login") for part in login.partition(":"))
    if auth == "external":
        return user, password
    if not user or not password:
        missing = "user" if not user else "password"
        raise ValueError(f"its {missing} is empty; it is user:password@host, or no login at all")
    if "\0" in user or "\0" in password:
        raise ValueError("its user or password has a NUL character")
    return user, password


def _decode(text: str, what: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"its {what} is not UTF-8 when percent-decoded") from None


# Each of these reads the value of a parameter, or raises a ValueError that says what it wants.


def _integer(lowest: int, highest: int, *others: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        wanted = f"a whole number from {lowest} to {highest}"
        # Not int() alone, which takes "1_0", " 1" and digits of other scripts.
        if not text.isascii() or not text.isdigit() or len(text) > 10:
            raise ValueError(wanted)
        number = int(text)
        if not (lowest <= number <= highest or number in others):
            raise ValueError(wanted)
        return number

    return read


def _one_of(**values: Any) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if text.lower() not in values:
            raise ValueError(" or ".join(values))
        return values[text.lower()]

    return read


def _text(text: str) -> str:
    if len(text.encode()) > MAX_SHORT_STRING:
        raise ValueError(f"a text of {MAX_SHORT_STRING} bytes at most")
    return text


def _milliseconds(text: str) -> float:
    return _integer(1, 2**31 - 1)(text) / 1000


def _certificates_data(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("a PEM file in base64") from None


_flag = {"1": True, "true": True, "0": False, "false": False}

# Where each value goes, by the names that RabbitMQ's documentation and aiormq give to it.
_OF_CONNECTION: dict[str, tuple[str, Callable[[str], Any]]] = {
    "auth": ("auth", _one_of(plain="plain", external="external")),
    "auth_mechanism": ("auth", _one_of(plain="plain", external="external")),
    "heartbeat": ("heartbeat", _integer(0, MAX_HEARTBEAT)),
    "connection_timeout": ("connect_timeout", _milliseconds),
    "name": ("name", _text),
    "channel_max": ("channel_max", _integer(1, MAX_CHANNELS, 0)),
    "frame_max": ("frame_max", _integer(MIN_FRAME, MAX_FRAME, 0)),
}
_OF_TLS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "cacertfile": ("authorities", str),
    "cafile": ("authorities", str),
    "capath": ("authorities_path", str),
    "cadata": ("authorities_data", _certificates_data),
    "certfile": ("certificate", str),
    "keyfile": ("key", str),
    "verify": ("verify", _one_of(verify_peer=True, verify_none=False)),
    "no_verify_ssl": ("verify", lambda text: not _one_of(**_flag)(text)),
    "server_name_indication": ("server_name", _text),
}


def _parameters(query: str, scheme: str) -> dict[str, Any]:
    found: dict[str, Any] = {"auth": "plain"}
    tls: dict[str, Any] = {}
    given: dict[str, str] = {}
    try:
        # A plus is a plus here: in names of files, and in base64.
        pairs = parse_qsl(
            query.replace("+", "%2B"), keep_blank_values=True, errors="strict", max_num_fields=100
        )
    except ValueError:
        raise ValueError("its parameters are malformed, or not UTF-8") from None
    for name, text in pairs:
        target = found if name in _OF_CONNECTION else tls
        known = _OF_CONNECTION.get(name) or _OF_TLS.get(name)
        if known is None:
            # A piece of a password may look like a name; it hardly has a value.
            shown = f" {name}" if text and name.isidentifier() and len(name) < 40 else ""
            names = ", ".join([*_OF_CONNECTION, *_OF_TLS])
            raise ValueError(f"its parameter{shown} is not known; known are: {names}")
        attribute, read = known
        if attribute in given:
            raise ValueError(f"its parameters {given[attribute]} and {name} are the same one twice")
        given[attribute] = name
        if not text:
            raise ValueError(f"its parameter {name} is empty")
        try:
            target[attribute] = read(text)
        except ValueError as error:
            raise ValueError(f"its parameter {name} must be {error}") from None
    if tls:
        if scheme != "amqps":
            raise ValueError(f"its parameter {given[next(iter(tls))]} is for amqps:// alone")
        if "key" in tls and "certificate" not in tls:
            raise ValueError("its parameter keyfile needs certfile beside it")
        found["certificates"] = Certificates(**tls)
    return found
