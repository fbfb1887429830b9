"""Certificates for mutual TLS, made for the test run, and contexts that use them."""

import ssl

import trustme

AUTHORITY = trustme.CA()
SERVER = AUTHORITY.issue_cert("127.0.0.1", "::1")
CLIENT = AUTHORITY.issue_cert("client@example.org")
STRANGER = trustme.CA().issue_cert("client@example.org")


def server_context() -> ssl.SSLContext:
    """Demands a certificate of its clients."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    SERVER.configure_cert(context)
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(certificate: trustme.LeafCert | None = CLIENT) -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    return context
