"""Identifiers: the caller's where it is well-formed, else a new one."""

import re

import pytest

from service.ids import new_id, request_id


@pytest.mark.parametrize(
    "offered",
    [
        pytest.param(b"a", id="one-character"),
        pytest.param(b"x" * 128, id="as-long-as-may-be"),
        pytest.param(b"AZaz09._:-", id="every-kind-of-character"),
        pytest.param(b"4bf92f35-77b3-4da6-a3ce-929d0e0e4736", id="a-uuid"),
    ],
)
def test_a_well_formed_id_is_the_callers(offered: bytes) -> None:
    assert request_id(offered) == offered.decode()


@pytest.mark.parametrize(
    "offered",
    [
        pytest.param(None, id="none"),
        pytest.param(b"", id="empty"),
        pytest.param(b"x" * 129, id="too-long"),
        pytest.param(b"a b", id="a-space"),
        pytest.param(b"a\r\nset-cookie: x=1", id="a-line-end"),
        pytest.param(b"a\n", id="a-line-end-last"),
        pytest.param(b"a\x00", id="nul"),
        pytest.param(b"a/b", id="a-slash"),
        pytest.param("é".encode(), id="beyond-ascii"),
        pytest.param(b"\xff", id="no-text-at-all"),
        pytest.param(b'{"a":1}', id="json"),
    ],
)
def test_any_other_is_replaced(offered: bytes | None) -> None:
    made = request_id(offered)
    assert re.fullmatch("req_[0-9a-f]{27}", made)
    assert request_id(made.encode()) == made


def test_new_ids_are_all_different() -> None:
    """The time and sixty-four random bits; a millisecond later is behind."""
    made = [new_id("req") for _ in range(1000)]
    assert len(set(made)) == 1000
    assert [one[:15] for one in made] == sorted(one[:15] for one in made)
    assert new_id("stream").startswith("stream_")
