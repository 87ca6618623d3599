"""The raw bytes of a request: what passes as its members, and what is refused, against the standard's reader."""

import json
import tracemalloc
from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.wire.strict import MAX_DEPTH, MAX_MEMBERS, members

Pairs = list[tuple[str, object]]
NAMES = ["a", "A", "b", "model", "Model", "MODEL", "straße", "STRASSE", "", "ß", "SS", "a b", 'a"', "a\\", "\u212a", "k", "é", "😀"]  # fmt: skip
SPACES = st.sampled_from(["", "", " ", "\n", "\r\n\t ", "  "])
NUMBERS = ["0", "-0", "1", "-12.5", "1e3", "1E+308", "1e309", "-1e999", "1.5e-400", "0e999", "1e0308", "0." + "7" * 400, "9" * 309, "-" + "9" * 400, "1" + "0" * 400 + "e-300", "17976931348623157" + "0" * 292]  # fmt: skip


def said(body: bytes) -> str:
    """The detail with which `body` is refused."""
    with pytest.raises(InvalidRequest) as caught:
        members(body)
    return caught.value.detail


def taken(body: bytes) -> dict[str, bytes]:
    """The members of `body`, as bytes."""
    return {name: bytes(value) for name, value in members(body).items()}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"{}", {}, id="an-empty-object"),
        pytest.param(b" \r\n\t{ \t} \n", {}, id="an-empty-object-in-white-space"),
        pytest.param(b'{"a":1,"b":[2,{"c":3}]}', {"a": b"1", "b": b'[2,{"c":3}]'}, id="compact"),
        pytest.param(b' { "a" :\t1 ,\r\n"b" : "x" } ', {"a": b"1", "b": b'"x"'}, id="spaced"),
        pytest.param(b'{"b":{"x":1,"x":2}}', {"b": b'{"x":1,"x":2}'}, id="a-name-twice-further-down-is-the-providers"),
        pytest.param(b'{"a":{"A":1},"b":2}', {"a": b'{"A":1}', "b": b"2"}, id="one-name-on-two-levels"),
        pytest.param(b'{"\\u0061":1,"b\\n":2}', {"a": b"1", "b\n": b"2"}, id="escaped-names"),
        pytest.param('{"ü":1,"😀":"€"}'.encode(), {"ü": b"1", "😀": '"€"'.encode()}, id="names-beyond-ascii"),
        pytest.param(b'{"a":"{\\"b\\":1,\\"a\\":2}"}', {"a": b'"{\\"b\\":1,\\"a\\":2}"'}, id="json-inside-a-string"),
        pytest.param(b'{ "a":",\\"a\\":1" }', {"a": b'",\\"a\\":1"'}, id="a-string-that-looks-like-a-member"),
        pytest.param(b'{"a":"1e999","b":"-1E400"}', {"a": b'"1e999"', "b": b'"-1E400"'}, id="numbers-in-strings-are-text"),
        pytest.param(b'{"a":"\\"","b":1e5}', {"a": b'"\\""', "b": b"1e5"}, id="an-escaped-quote-before-a-number"),
        pytest.param(b'{"a":"\\\\","b":1e5}', {"a": b'"\\\\"', "b": b"1e5"}, id="an-escaped-backslash-before-a-number"),
        pytest.param(b'{"a":null,"b":true,"c":-0.5e-7}', {"a": b"null", "b": b"true", "c": b"-0.5e-7"}, id="all-literals"),
    ],
)  # fmt: skip
def test_members_are_the_callers_own_bytes(body: bytes, expected: dict[str, bytes]) -> None:
    assert taken(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=repr(body))
        for body in (
            b"", b" ", b"{", b"}", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,}', b"{,}", b'{"a" 1}', b"{a:1}", b"{'a':1}",
            b'{"a":1}{}', b'{"a":1}x', b'{"a":1}\x0b', b'{"a":1}\x00', b'{"a":01}', b'{"a":1.}', b'{"a":.5}', b'{"a":+1}',
            b'{"a":-}', b'{"a":1e}', b'{"a":0x1}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":tru}',
            b'{"a":[1,]}', b'{"a":[1 2]}', b'{"a":"x\ny"}', b'{"a":"\x00"}', b'{"a":"\\x"}', b'{"a":"\\u12"}', b'{"a":"x}',
            b'{"a":{"b" 1}}', b'{"a":[}', b'{"a":(1)}', b'{"a":"\\ud800"}', b'{"\\udc00 ":1}', b'/**/{"a":1}', b'{"a":1}//',
        )
    ],
)  # fmt: skip
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    assert said(body).startswith("The body is not valid JSON: ")


@pytest.mark.parametrize(
    "body", [pytest.param(body, id=repr(body)) for body in (b"[]", b"null", b'"a"', b"1", b'[{"a":1}]')]
)
def test_json_that_is_no_object_is_said_to_be_none(body: bytes) -> None:
    assert said(body) == "The body must be a JSON object."


@pytest.mark.parametrize(
    ("body", "place"),
    [
        pytest.param(b'{"a":"\xff"}', 6, id="a-byte-that-never-occurs"),
        pytest.param(b'{"a":"\xe2\x82"}', 6, id="a-character-cut-short"),
        pytest.param(b'{"a":"\xc0\xaf"}', 6, id="an-overlong-form"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', 6, id="a-surrogate"),
        pytest.param(b'{"\xff":1}', 2, id="in-a-name"),
        pytest.param(b'{"a":{"b":["\xf5"]}}', 12, id="deep-in-a-field-that-is-passed-on"),
        pytest.param('{"a":"x"}'.encode("utf-16"), 0, id="utf-16"),
    ],
)
def test_bytes_that_are_no_utf_8_are_refused_with_their_place(body: bytes, place: int) -> None:
    assert said(body) == f"The body is not UTF-8: byte {place} is invalid."


def test_a_byte_order_mark_is_no_part_of_json() -> None:
    """RFC 8259, 8.1: a sender must not add one; a provider may choke on it."""
    assert "not valid JSON" in said(b"\xef\xbb\xbf{}")


def nested(levels: int, opening: str, closing: str) -> bytes:
    """An object whose value makes it `levels` deep in all."""
    return b'{"a":' + opening.encode() * (levels - 1) + b"1" + closing.encode() * (levels - 1) + b"}"


SHAPES = [
    pytest.param("[", "]", id="arrays"),
    pytest.param('{"b":', "}", id="objects"),
    pytest.param('["]]]}",', "]", id="arrays-with-brackets-in-strings"),
]


@pytest.mark.parametrize(("opening", "closing"), SHAPES)
def test_two_hundred_levels_pass(opening: str, closing: str) -> None:
    assert MAX_DEPTH == 200
    assert set(taken(nested(200, opening, closing))) == {"a"}


@pytest.mark.parametrize("levels", [pytest.param(levels, id=str(levels)) for levels in (201, 1000, 100_000)])
@pytest.mark.parametrize(("opening", "closing"), SHAPES)
def test_one_level_more_is_refused(opening: str, closing: str, levels: int) -> None:
    assert (
        said(nested(levels, opening, closing))
        == "The body is nested too deeply; at most 200 levels are accepted."
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":[' + b"[]," * 5000 + b"{}]}", id="thousands-beside-one-another"),
        pytest.param(b'{"a":"' + b"[" * 5000 + b'"}', id="thousands-in-a-string"),
        pytest.param(b'{"a":"' + b'\\"[{' * 5000 + b'"}', id="thousands-behind-escaped-quotes"),
    ],
)
def test_many_brackets_are_not_depth(body: bytes) -> None:
    assert set(taken(body)) == {"a"}


@pytest.mark.parametrize("number", [pytest.param(number, id=number[:24]) for number in NUMBERS])
@pytest.mark.parametrize("where", [pytest.param(where, id=where) for where in ('{"a":%s}', '{"x":"1e9", "a":[0,{"b": %s }]}', '{"t":"\\"", "a":%s,"b":2}')])  # fmt: skip
def test_a_number_passes_if_a_double_can_hold_it(number: str, where: str) -> None:
    body = (where % number).encode()
    if Decimal(number).copy_abs() < Decimal(2) ** 1024:
        assert "a" in taken(body)
    else:
        assert said(body) == f"The number {number[:40]} is out of range; send a finite one."


@given(
    st.text("0123456789", min_size=1, max_size=330),
    st.text("0123456789", max_size=330),
    st.integers(-700, 700),
)
@example("1", "", 308)
@example("1", "", 309)
@example("0", "7" * 330, 0)
def test_any_spelling_of_a_number_is_judged_by_its_value(whole: str, fraction: str, exponent: int) -> None:
    """With and without a fraction and an exponent, in digits without end."""
    text = (
        (whole.lstrip("0") or "0")
        + (f".{fraction}" if fraction else "")
        + (f"e{exponent}" if exponent else "")
    )
    finite = float(text) != float("inf")
    try:
        members(f'{{"a":[{text}]}}'.encode())
    except InvalidRequest:
        assert not finite
    else:
        assert finite


@pytest.mark.parametrize(
    ("body", "named"),
    [
        pytest.param(b'{"model":"a","model":"b"}', "model", id="the-same"),
        pytest.param(b'{"model":"a","model":"a"}', "model", id="with-the-same-value"),
        pytest.param(b'{"model":"a","n":1,"model":"b"}', "model", id="with-another-between"),
        pytest.param(b'{"model":"a","Model":"b"}', "Model", id="in-other-case"),
        pytest.param(b'{"Model":"a","model":"b"}', "model", id="in-other-case-first"),
        pytest.param(b'{"Zeta":1,"a":2,"A":3}', "A", id="the-right-one-is-named"),
        pytest.param('{"straße":1,"STRASSE":2}'.encode(), "STRASSE", id="case-as-unicode-folds-it"),
        pytest.param(b'{"model":"a","\\u006dodel":"b"}', "model", id="escaped"),
        pytest.param(b'{"model":"a", "\\u004dodel":"b"}', "Model", id="escaped-and-in-other-case"),
        pytest.param(b'{ "model" : "a" , "model" : "b" }', "model", id="spaced"),
        pytest.param(b'{"":1,"":2}', "", id="the-empty-name"),
    ],
)
def test_a_name_given_twice_is_refused_and_named(body: bytes, named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        members(body)
    assert caught.value.param == named
    assert caught.value.detail == f"The field {named!r} is given twice; send it once."


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":12,"a":1}', id="the-second-begins-the-first"),
        pytest.param(b'{"a":1.5,"a":1,"b":2}', id="the-second-begins-the-first-with-more-behind"),
        pytest.param(b'{"a":1,"b":2,"a":12}', id="the-first-begins-the-second"),
        pytest.param(b'{"a":{"a":1},"a":{}}', id="the-same-name-inside"),
        pytest.param(b'{"b":"\\"","a":1, "a":1}', id="after-an-escaped-quote"),
    ],
)
def test_no_value_hides_a_name_given_twice(body: bytes) -> None:
    assert "given twice" in said(body)


def test_as_many_fields_pass_as_any_api_has_and_no_hostile_number() -> None:
    """Each is looked at, so their number is bounded."""
    names = [f"n{number}" for number in range(MAX_MEMBERS + 1)]
    assert len(taken(msgspec.json.encode(dict.fromkeys(names[:-1], 1)))) == MAX_MEMBERS
    assert said(msgspec.json.encode(dict.fromkeys(names, 1))).startswith("The body has more than 1000 fields")


def reference(body: bytes) -> dict[str, object] | None:
    """The top-level members as the standard library reads them; None for what is to be refused."""
    depth_seen: list[Pairs] = []

    def keep(pairs: Pairs) -> dict[str, object]:
        depth_seen.append(pairs)
        return dict(pairs)

    def refuse(word: str) -> object:
        raise ValueError(word)

    def finite(text: str) -> float:
        value = float(text)
        return value if abs(value) != float("inf") else float(refuse(text))  # type: ignore[arg-type]

    try:
        value = json.loads(body.decode(), object_pairs_hook=keep, parse_constant=refuse, parse_float=finite, parse_int=finite)  # fmt: skip
        # Half a surrogate pair is no character, so no UTF-8 can say it.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    outermost = [name.casefold() for name, _ in depth_seen[-1]]
    return value if len(set(outermost)) == len(outermost) else None


SCALARS = st.one_of(
    st.sampled_from(
        [*NUMBERS, "true", "false", "null", '"x"', '"1e999"', '"\\""', '"\\\\"', '"{"', '",\\"a\\":1"', '"é"']
    )
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """JSON as text: names from a small set, escaped now and then, white space anywhere it may stand."""

    def string(name: str) -> str:
        if name and draw(st.integers(0, 4)) == 0:
            return '"' + "".join(f"\\u{unit:04x}" for unit in _units(name)) + '"'
        return json.dumps(name, ensure_ascii=False)

    def value(depth: int) -> str:
        kind = draw(st.integers(0, 5)) if depth < 3 else 0
        if kind == 4:
            return "[" + ",".join(value(depth + 1) for _ in range(draw(st.integers(0, 3)))) + "]"
        return object_(depth + 1) if kind == 5 else draw(SPACES) + draw(SCALARS) + draw(SPACES)

    def object_(depth: int) -> str:
        names = draw(st.lists(st.sampled_from(NAMES), max_size=4))
        parts = [draw(SPACES) + string(name) + draw(SPACES) + ":" + value(depth) for name in names]
        return "{" + ",".join(parts) + draw(SPACES) + "}"

    return draw(SPACES) + object_(0) + draw(SPACES)


def _units(name: str) -> list[int]:
    raw = name.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def check_like_the_reference(body: bytes) -> None:
    """Both refuse `body`, or both find the same members in it."""
    expected = reference(body)
    try:
        found = members(body)
    except InvalidRequest:
        assert expected is None
        return
    assert expected is not None
    assert {name: json.loads(bytes(value), parse_int=float) for name, value in found.items()} == expected


@given(texts())
@example('{"a":1,"A":2}')
@example('{"K":1,"\u212a":2}')
@settings(max_examples=300)
def test_members_are_what_the_standard_library_reads(text: str) -> None:
    """Names twice and in other case, escapes, white space, numbers beyond a double."""
    check_like_the_reference(text.encode())


@given(texts(), st.integers(0, 400), st.sampled_from([b"", b'"', b",", b"{", b"}", b"\\", b":", b"\xff", b"\x00", b"e", b"1", b" ", b"."]))  # fmt: skip
@settings(max_examples=300)
def test_a_body_that_was_spoilt_is_read_as_the_standard_library_reads_it(
    text: str, at: int, put: bytes
) -> None:
    """One byte changed anywhere."""
    body = text.encode()
    check_like_the_reference(body[:at] + put + body[at + 1 :])


@given(st.dictionaries(st.text(max_size=5), st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)), max_size=5))  # fmt: skip
def test_what_msgspec_writes_is_taken_apart_without_a_change(value: dict[str, object]) -> None:
    """A round trip, compact and spread out, wherever no two names are the same but for case."""
    if len({name.casefold() for name in value}) < len(value):
        return
    compact = msgspec.json.encode(value)
    for body in (compact, msgspec.json.format(compact, indent=2)):
        assert {name: msgspec.json.decode(raw) for name, raw in members(body).items()} == value


def test_an_image_of_megabytes_costs_no_multiple_of_its_size() -> None:
    """Such a string has digits before an `e` somewhere, so the numbers are looked for; its characters must not be kept."""
    body = b'{"a":"' + b"5E+/abcd" * 500_000 + b'"}'
    tracemalloc.start()
    try:
        members(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(body)
