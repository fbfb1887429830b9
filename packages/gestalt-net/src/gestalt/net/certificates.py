"""The names in a certificate, each of its kind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """Who a certificate is for (RFC 5280, sections 4.1.2.6 and 4.2.1.6).

    A name of one kind says nothing about the same letters in another: compare the kind that your
    authority writes. All are empty where the other end has shown no certificate.

    Args:
        common_name: that of the subject, which older tools have in place of the others; None where
            it has none, or more than one.
        dns: its DNS names, as they are written in it: `*.example.org` is no pattern here.
        uris: its URIs, as SPIFFE has them.
        addresses: its IP addresses.
        emails: its e-mail addresses.
    """

    common_name: str | None = None
    dns: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    emails: tuple[str, ...] = ()

    @classmethod
    def of(cls, certificate: Mapping[str, Any]) -> Self:
        """Read them from a verified certificate, as `ssl.SSLSocket.getpeercert` gives it."""
        subject = [pair for part in certificate.get("subject", ()) for pair in part]
        common = [value for kind, value in subject if kind == "commonName"]
        alternatives = certificate.get("subjectAltName", ())

        def of_kind(kind: str) -> tuple[str, ...]:
            return tuple(value for each, value in alternatives if each == kind)

        return cls(
            common[0] if len(common) == 1 else None,
            of_kind("DNS"),
            of_kind("URI"),
            tuple(_addresses(of_kind("IP Address"))),
            of_kind("email"),
        )


def _addresses(texts: tuple[str, ...]) -> Iterator[IPv4Address | IPv6Address]:
    for text in texts:
        try:
            yield ip_address(text.strip())
        except ValueError:
            continue  # of another length than addresses have, for which ssl writes "<invalid>"
