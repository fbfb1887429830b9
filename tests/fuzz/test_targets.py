"""The targets of the fuzzer find nothing in what Hypothesis thinks of, and do find faults."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.net import Netstring
from tests.fuzz import framings
from tests.fuzz.targets import NAMES, target

SEEDS = [
    b"",
    b"\0",
    b"5:hello,0:,",
    b"hello\nworld\n",
    b"\0\0\0\x05\0\0\0\x01hello",
    b"\x01\0\x01\0\0\0\x04\0\x0a\0\x0a\xce",
    b"\x08\0\0\0\0\0\0\xce",
    b"\0\0\0\x08\x01kS\0\0\0\x01v",
    b'{"a": [1, 2.5, null, "\\ud800"]}',
    b"a: &x [1, *x]\n",
    b"\x81\xa1a\x92\x01\xc0",
]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=200) | st.lists(st.sampled_from(SEEDS)).map(b"".join))
def test_nothing_is_found_in(name: str, data: bytes) -> None:
    target(name)(data)


def test_a_framing_that_depends_on_the_pieces_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hasty(Netstring):
        def cut(self, data: bytes, payloads: list[bytes], type_ids: list[int]) -> tuple[int, int]:
            payloads.append(data)
            return len(data), 1

    monkeypatch.setitem(framings.FRAMINGS, "netstring", Hasty(max_size=framings.MAX_SIZE))
    with pytest.raises(AssertionError):
        target("netstring")(b"\x015:hello,")
