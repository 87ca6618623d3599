"""What is taken for an `Idempotency-Key`, and what it stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.idempotency.key import MAX_CHARACTERS, parse_key, scope_of

PRINTABLE = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=MAX_CHARACTERS
)
UUID = "8e03978e-40d5-43dd-bc93-6894a57f9324"


def quoted(key: str) -> bytes:
    """As RFC 9651, 4.1.6 serialises a string."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode()


@given(PRINTABLE)
def test_a_serialised_string_is_read_back(key: str) -> None:
    assert parse_key(quoted(key)) == key


@given(PRINTABLE)
def test_a_bare_key_is_the_same_as_the_quoted_one(key: str) -> None:
    """Unless it begins with a quote, or with spaces that nobody sees."""
    if not key.startswith('"') and key == key.strip(" "):
        assert parse_key(key.encode()) == parse_key(quoted(key))


@given(st.binary(max_size=300))
def test_anything_else_is_refused_by_name(value: bytes) -> None:
    """What is taken is 1 to 255 printable characters."""
    key = taken(value)
    assert key is None or (1 <= len(key) <= MAX_CHARACTERS and key.isascii() and key.isprintable())


def taken(value: bytes) -> str | None:
    """The key, or None where it is refused; anything else that is raised comes through."""
    try:
        return parse_key(value)
    except InvalidRequest:
        return None


@pytest.mark.parametrize(
    ("value", "key"),
    [
        pytest.param(UUID.encode(), UUID, id="a-bare-uuid"),
        pytest.param(f'"{UUID}"'.encode(), UUID, id="a-quoted-uuid"),
        pytest.param(b'  "k"\t', "k", id="space-around-it"),
        pytest.param(rb'"a\"b\\c"', 'a"b\\c', id="escapes"),
        pytest.param(rb"a\"b", r"a\"b", id="no-escapes-without-quotes"),
        pytest.param(b"a b, c; d=1", "a b, c; d=1", id="bare-punctuation"),
        pytest.param(b"k" * 255, "k" * 255, id="the-longest"),
        pytest.param(b'"' + rb"\"" * 255 + b'"', '"' * 255, id="the-longest-escaped"),
    ],
)
def test_keys(value: bytes, key: str) -> None:
    assert parse_key(value) == key


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"  ", id="blank"),
        pytest.param(b'""', id="empty-in-quotes"),
        pytest.param(b"k" * 256, id="too-long"),
        pytest.param(b'"' + b"k" * 256 + b'"', id="too-long-in-quotes"),
        pytest.param(b'"k', id="no-end-quote"),
        pytest.param(b'"k";a=1', id="parameters"),
        pytest.param(b'"k", "l"', id="a-list"),
        pytest.param(rb'"\k"', id="an-escape-of-nothing"),
        pytest.param(rb'"k\"', id="an-escaped-end-quote"),
        pytest.param("schlüssel".encode(), id="utf-8"),
        pytest.param(b"a\tb", id="a-tab"),
        pytest.param(b"a\x7fb", id="del"),
    ],
)
def test_malformed_keys(value: bytes) -> None:
    with pytest.raises(InvalidRequest, match="1 to 255") as refusal:
        parse_key(value)
    assert refusal.value.param == "Idempotency-Key"


PARTS = st.tuples(*[st.text(max_size=3)] * 4)


@given(PARTS, PARTS)
def test_a_scope_is_one_callers_one_routes_one_key(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """No two of them are taken for one, wherever a part ends."""
    assert (scope_of(*one) == scope_of(*other)) is (one == other)
