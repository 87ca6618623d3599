"""The text of a key."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.keys import credential
from service.keys.credential import RANDOM_BYTES

random_bytes = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
MADE = credential.make(bytes(range(RANDOM_BYTES)))
TEXT = MADE.text.encode()
ID, BODY = TEXT[4:20], TEXT[:-6]


@given(random_bytes)
def test_what_is_made_is_taken_apart_again(drawn: bytes) -> None:
    made = credential.make(drawn)
    assert re.fullmatch("psk_[0-9A-Za-z]{16}_[0-9A-Za-z]{46}", made.text)
    assert credential.is_id(made.id)
    assert credential.parse(made.text.encode()) == (made.id, made.digest)


@given(random_bytes)
def test_a_new_secret_keeps_the_id(drawn: bytes) -> None:
    made = credential.make(drawn, MADE.id)
    assert credential.parse(made.text.encode()) == (MADE.id, made.digest)


def test_a_key_is_what_it_always_was() -> None:
    """Keys that are out there must open for good, so this text never changes."""
    assert MADE.text == "psk_BFVQbG6GG5DvohDi_yeYDfafyhUqdRMUxkpaoYi52YAYw7QZ3fijpF0RF39ZY3w"
    assert MADE.digest.hex() == "6de9b3bb2c3b6ddc85d28b463f14e450800d9285d78139aa60e1057ecc939a99"


@pytest.mark.parametrize("place", range(len(TEXT)))
def test_any_other_character_makes_it_none(place: int) -> None:
    """The checksum sees every mistyped character."""
    for other in b"_-0Az\x00\xff \n":
        if other != TEXT[place]:
            assert credential.parse(TEXT[:place] + bytes([other]) + TEXT[place + 1 :]) is None


@pytest.mark.parametrize("end", range(len(TEXT)))
def test_a_part_of_a_key_is_none(end: int) -> None:
    assert credential.parse(TEXT[:end]) is None
    assert credential.parse(TEXT[end + 1 :]) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TEXT + b"\n", id="a-line-end-behind-it"),
        pytest.param(TEXT + b"0", id="a-character-behind-it"),
        pytest.param(b" " + TEXT, id="a-space-before-it"),
        pytest.param(TEXT.upper(), id="capitals"),
        pytest.param(TEXT + b"," + TEXT, id="two"),
        pytest.param(b"psk_" + "é".encode() * 8 + TEXT[20:], id="beyond-ascii"),
        pytest.param(b"sk_" + TEXT[4:], id="another-prefix"),
        pytest.param(BODY + b"000000", id="a-checksum-that-is-wrong"),
    ],
)
def test_what_is_no_key(text: bytes) -> None:
    assert credential.parse(text) is None


@pytest.mark.parametrize("count", [0, RANDOM_BYTES - 1, RANDOM_BYTES + 1])
def test_too_few_or_too_many_random_bytes(count: int) -> None:
    with pytest.raises(ValueError, match="made of 50 random bytes"):
        credential.make(bytes(count))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(0, "000", id="nothing"),
        pytest.param(61, "00z", id="the-last-digit"),
        pytest.param(62, "010", id="the-first-of-two"),
        pytest.param(62**3 - 1, "zzz", id="as-much-as-fits"),
        pytest.param(62**3 + 1, "001", id="only-the-last-ones"),
    ],
)
def test_base_62(number: int, expected: str) -> None:
    assert credential.base62(number, 3) == expected


@pytest.mark.parametrize(
    "id",
    [
        pytest.param("", id="empty"),
        pytest.param("a" * 15, id="too-short"),
        pytest.param("a" * 17, id="too-long"),
        pytest.param("a" * 15 + "_", id="another-character"),
        pytest.param("a" * 15 + "é", id="beyond-ascii"),
        pytest.param("a" * 16 + "\n", id="a-line-end"),
    ],
)
def test_what_is_no_id(id: str) -> None:
    assert not credential.is_id(id)
