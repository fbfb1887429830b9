"""Links out of the documentation have the form of links that hold; where they lead, nobody asks."""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from release.members import read_members
from release.urls import repository_of
from tests.project.test_docs import PAGES, ROOT, without_code

HOSTS = {
    "avro.apache.org",
    "cr.yp.to",
    "cyclonedx.org",
    "docs.aio-pika.com",
    "example.org",
    "hatch.pypa.io",
    "protobuf.dev",
    "www.asyncapi.com",
    "www.rabbitmq.com",
    "www.rfc-editor.org",
    *filter(None, [urlsplit(repository_of(read_members()) or "").hostname]),
}
"""Whom we link to: publishers of specifications and documentation, of which there are few.

A new one is looked at before it is added: it is no package registry, which is named nowhere, and
what it has stays where it is.
"""

LOCAL = {"localhost"}
"""What programs on pages talk to: this machine, by plain HTTP."""

TEXTS = [
    *PAGES,
    *sorted(ROOT.glob("docs/**/*.rst")),
    *sorted(ROOT.glob("packages/*/pyproject.toml")),
    *sorted(ROOT.glob("packages/*/src/**/*.py")),
    *sorted(ROOT.glob("examples/**/*.py")),
    *sorted(ROOT.glob("release/**/*.py")),
]

LINK = re.compile(r"(?<![\w+])[Hh][Tt][Tt][Pp][Ss]?:/[^\s\"'`<>{}\[\]]*")
PATH = re.compile(r"(?:/[\w.~%+,-]+)*/?")
FRAGMENT = re.compile(r"[\w.-]*")
RFC = re.compile(r"/rfc/rfc[1-9]\d*(?:\.html)?")


def links_of(text: str) -> Iterator[str]:
    for found in LINK.findall(text):
        link = found
        while link[-1] in ".,;:!?*" or (link[-1] == ")" and link.count("(") < link.count(")")):
            link = link[:-1]
        yield link


def is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOCAL


def fault_of(link: str) -> str | None:
    """What is wrong with the form of a link; None if nothing is."""
    try:
        parts = urlsplit(link)
        host = parts.hostname or ""
        port = parts.port
    except ValueError as error:
        return str(error)
    if is_local(host):
        return None
    if host not in HOSTS:
        return f"{host!r} is not among HOSTS"
    if not link.startswith("https://"):
        return "it is not by https://"
    if parts.netloc != host or port is not None:
        return "a host stands alone, in small letters: no user, no port"
    if not PATH.fullmatch(parts.path) or not FRAGMENT.fullmatch(parts.fragment) or parts.query:
        return "its path or fragment is not one of a page"
    if host == "www.rabbitmq.com" and parts.path.endswith(".html"):
        return "pages of RabbitMQ have no .html"
    if host == "www.rfc-editor.org" and not RFC.fullmatch(parts.path):
        return "an RFC is https://www.rfc-editor.org/rfc/rfc8259"
    return None


def test_links_out_of_the_project_are_well_formed_and_lead_to_known_hosts() -> None:
    wrong: list[str] = []
    count: Counter[str] = Counter()
    for file in TEXTS:
        for link in links_of(file.read_text("utf-8")):
            count[link] += 1
            if fault := fault_of(link):
                wrong.append(f"{file.relative_to(ROOT)}: {link}: {fault}")
    assert wrong == []
    assert len(count) > 15


@pytest.mark.parametrize(
    "link",
    [
        "http://www.rabbitmq.com/docs/dlx",
        "https:/www.rabbitmq.com/docs/dlx",
        "https://www.rabbitmq.com/docs//dlx",
        "https://www.rabbitmq.com/docs/dlx(",
        "https://www.rabbitmq.com/dlx.html",
        "https://www.rabbitmq.com:443/docs/dlx",
        "https://me@www.rabbitmq.com/docs/dlx",
        "HTTPS://www.rabbitmq.com/docs/dlx",
        "https://WWW.rabbitmq.com/docs/dlx",
        "https://www.rabbitmq.com/docs/dlx?utm_source=docs",
        "https://www.rabbitmq.com/docs/dlx#a#b",
        "https://www.rfc-editor.org/info/rfc8259",
        "https://www.rabbitmq.com.example/docs",
        "https://broker.internal/docs",
        "https://10.0.0.7/docs",
        "https://[::1/docs",
        "https://",
    ],
)
def test_a_link_of_a_wrong_form_is_told(link: str) -> None:
    assert fault_of(link)


def test_a_link_ends_where_its_sentence_does() -> None:
    text = "([one](https://cr.yp.to/a.txt), <https://cr.yp.to/b>; see https://cr.yp.to/c_(d).)"
    assert [*links_of(text)] == [
        "https://cr.yp.to/a.txt",
        "https://cr.yp.to/b",
        "https://cr.yp.to/c_(d)",
    ]


def test_rfcs_are_named_in_one_form() -> None:
    for file in TEXTS:
        named = re.findall(r"\bRFC\W?\d+|\brfc \d+", file.read_text("utf-8"))
        assert {each for each in named if not re.fullmatch(r"RFC[ \n]\d+", each)} == set(), file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_two_headings_of_a_page_have_one_anchor(page: Path) -> None:
    text = without_code(page)
    if page.name == "CHANGELOG.md":
        # Every version may have what was added to it; of these nobody links to.
        text = re.sub(r"^### (?:Added|Changed|Fixed|Removed)$", "", text, flags=re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = Counter(re.sub(r"[^\w -]", "", each).strip().lower() for each in headings)
    assert [anchor for anchor, count in anchors.items() if count > 1] == []
