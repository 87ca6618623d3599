"""What a ticket is worth: for its own stream, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.streams.tickets import FIRST_USE_SECONDS, Verdict, issue, judge

SECRET = b"s" * 32
ID = "worker-stream-0123456789"
NOW = 1_700_000_000.9
TICKET, EXPIRES_AT = issue(SECRET, ID, NOW)
EXPIRY, _, SIGNATURE = TICKET.partition(".")


def test_a_ticket_tells_until_when_it_must_first_be_used() -> None:
    """In whole seconds, and fits into an address as it is."""
    assert int(NOW) + FIRST_USE_SECONDS == EXPIRES_AT
    assert int(EXPIRY, 16) == EXPIRES_AT
    assert set(TICKET) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@pytest.mark.parametrize(
    ("ticket", "stream_id", "secret", "now", "verdict"),
    [
        pytest.param(TICKET, ID, SECRET, NOW, Verdict.GOOD, id="at-once"),
        pytest.param(TICKET, ID, SECRET, EXPIRES_AT, Verdict.GOOD, id="at-the-last-moment"),
        pytest.param(TICKET, ID, SECRET, EXPIRES_AT + 0.1, Verdict.LATE, id="after-it"),
        pytest.param(TICKET, ID, SECRET, NOW + 1e9, Verdict.LATE, id="long-after-it"),
        pytest.param(TICKET, ID[:-1] + "x", SECRET, NOW, Verdict.BAD, id="another-stream"),
        pytest.param(TICKET, ID, b"t" * 32, NOW, Verdict.BAD, id="another-worker-signed-it"),
        pytest.param(f"{EXPIRES_AT + 60:x}.{SIGNATURE}", ID, SECRET, NOW, Verdict.BAD, id="a-later-expiry"),
        pytest.param(f"{EXPIRY}.{SIGNATURE[:-1]}", ID, SECRET, NOW, Verdict.BAD, id="a-shorter-signature"),
        pytest.param(f"{EXPIRY}.{SIGNATURE}A", ID, SECRET, NOW, Verdict.BAD, id="a-longer-signature"),
        pytest.param(f"{EXPIRY}.", ID, SECRET, NOW, Verdict.BAD, id="no-signature"),
        pytest.param(EXPIRY, ID, SECRET, NOW, Verdict.BAD, id="an-expiry-alone"),
        pytest.param(f".{SIGNATURE}", ID, SECRET, NOW, Verdict.BAD, id="no-expiry"),
        pytest.param(f"-1.{SIGNATURE}", ID, SECRET, NOW, Verdict.BAD, id="a-negative-expiry"),
        pytest.param(f"{'f' * 13}.{SIGNATURE}", ID, SECRET, NOW, Verdict.BAD, id="an-endless-expiry"),
        pytest.param(f"{EXPIRY}.\u00e4\u6c34\ud800", ID, SECRET, NOW, Verdict.BAD, id="not-even-ascii"),
        pytest.param("", ID, SECRET, NOW, Verdict.BAD, id="nothing"),
    ],
)
def test_what_a_ticket_is_worth(
    ticket: str, stream_id: str, secret: bytes, now: float, verdict: Verdict
) -> None:
    assert judge(secret, stream_id, ticket, now) is verdict


@given(ticket=st.text(max_size=80))
def test_whatever_is_made_up_opens_nothing(ticket: str) -> None:
    assert judge(SECRET, ID, ticket, NOW) is Verdict.BAD


@given(at=st.integers(0, len(TICKET) - 1), put=st.characters())
def test_a_ticket_with_one_other_character_opens_nothing(at: int, put: str) -> None:
    tampered = TICKET[:at] + put + TICKET[at + 1 :]
    assert tampered == TICKET or judge(SECRET, ID, tampered, NOW) is Verdict.BAD
