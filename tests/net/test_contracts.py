"""What endpoints say of themselves that only they know: where they are, and how they frame."""

from typing import Any

import pytest

from gestalt.core.contracts import note, read
from gestalt.net import DatagramEndpoint, Mti, StreamServer, Wire
from tests.net.framings.own import Own


def nothing(_: Any) -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("fd://3", {"protocol": "tcp", "host": "fd://3"}),
        ("systemd://web", {"protocol": "tcp", "host": "systemd://web"}),
        ("unix://@name", {"protocol": "unix", "host": "localhost", "pathname": "@name"}),
        ("tcp://[::1]:80", {"protocol": "tcp", "host": "[::1]:80"}),
    ],
)
def test_a_server_says_where_it_is_as_far_as_it_knows(url: str, told: dict[str, str]) -> None:
    for operation in read(StreamServer(url, Wire(Mti()), on_message=nothing)):
        [server] = operation.channel.servers
        assert {name: getattr(server, name) for name in told} == told


def test_datagrams_of_a_socket_that_is_handed_over_are_no_streams() -> None:
    for operation in read(DatagramEndpoint("fd://3", Wire(Mti()), on_message=nothing)):
        [server] = operation.channel.servers
        assert (server.protocol, server.host) == ("udp", "fd://3")


def test_a_framing_of_ones_own_is_told_by_its_name() -> None:
    [one, other] = read(StreamServer("tcp://:1", Wire(Own()), on_message=nothing))
    assert one.channel.facts["framing"] == other.channel.facts["framing"] == {"name": "Own"}


@pytest.mark.parametrize(
    ("said", "told"), [({"receives": []}, ["send"]), ({"sends": []}, ["receive"])]
)
def test_who_is_said_to_exchange_nothing_one_way_does_so_the_other_way_alone(
    said: dict[str, Any], told: list[str]
) -> None:
    server = StreamServer("tcp://:1", Wire(Mti()), on_message=nothing)
    note(server, **said)
    assert [operation.action for operation in read(server)] == told
