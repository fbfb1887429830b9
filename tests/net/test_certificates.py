"""The names in a certificate, each of its kind."""

from ipaddress import ip_address
from typing import Any

from gestalt.net import CertificateNames, TlsDetails


def test_names_are_told_apart_by_their_kinds() -> None:
    certificate: dict[str, Any] = {
        "subject": ((("organizationName", "Example"),), (("commonName", "Agent 7"),)),
        "subjectAltName": (
            ("DNS", "a.example.org"),
            ("DNS", "*.example.org"),
            ("URI", "spiffe://example.org/agent"),
            ("IP Address", "192.0.2.7"),
            ("IP Address", "2001:DB8:0:0:0:0:0:1"),
            ("IP Address", "<invalid>"),
            ("email", "agent@example.org"),
            ("Registered ID", "1.2.3"),
        ),
    }
    names = TlsDetails("TLSv1.3", "", certificate, None).names
    assert names == CertificateNames(
        common_name="Agent 7",
        dns=("a.example.org", "*.example.org"),
        uris=("spiffe://example.org/agent",),
        addresses=(ip_address("192.0.2.7"), ip_address("2001:db8::1")),
        emails=("agent@example.org",),
    )


def test_nobody_has_names_without_a_certificate() -> None:
    names = CertificateNames.of({})
    assert names == CertificateNames()
    assert names.uris == names.emails == ()


def test_of_several_common_names_none_is_chosen() -> None:
    subject = ((("commonName", "a"),), (("commonName", "b"),))
    assert CertificateNames.of({"subject": subject}).common_name is None
