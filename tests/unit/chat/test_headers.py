"""What an answer's headers say about how it came to be."""

import pytest

from service.chat.headers import answer_headers, model_header
from service.telemetry.facts import Facts


def facts(model: str = "fast", target: str = "up/gpt", attempts: int = 1) -> Facts:
    """A request on its way."""
    return Facts("req_1", "POST", "/v1/chat/completions", 0.0, model=model, target=target, attempts=attempts)


def headers(
    known: Facts,
    *,
    dropped: tuple[str, ...] = (),
    upstream: dict[str, str] | None = None,
    seconds: float = 0.0,
) -> dict[bytes, bytes]:
    """By name; none comes twice."""
    found = answer_headers(known, dropped, upstream or {}, seconds)
    assert len(dict(found)) == len(found)
    return dict(found)


def test_alias_target_attempts_and_overhead_are_told() -> None:
    """Nothing else without a reason."""
    assert headers(facts(attempts=3), seconds=0.0123456) == {
        b"x-penstock-model": b"fast",
        b"x-penstock-target": b"up/gpt",
        b"x-penstock-attempts": b"3",
        b"x-penstock-overhead-ms": b"12.35",
    }


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        pytest.param(0.0004, b"0.40", id="part-of-a-millisecond"),
        pytest.param(1.5, b"1500.00", id="more-than-a-second"),
        pytest.param(-0.001, b"0.00", id="never-negative"),
    ],
)
def test_the_overhead_is_in_milliseconds(seconds: float, shown: bytes) -> None:
    assert headers(facts(), seconds=seconds)[b"x-penstock-overhead-ms"] == shown


def test_dropped_hints_are_listed() -> None:
    """In the order of the request."""
    assert headers(facts(), dropped=("seed", "top_k"))[b"x-penstock-dropped"] == b"seed, top_k"


@pytest.mark.parametrize(
    ("upstream", "shown"),
    [
        pytest.param({"x-request-id": "up-9"}, b"up-9", id="openais"),
        pytest.param({"request-id": "msg-9"}, b"msg-9", id="anthropics"),
        pytest.param({"x-request-id": "a", "request-id": "b"}, b"a", id="one-of-two"),
        pytest.param({"x-request-id": "req_1", "request-id": "b"}, b"b", id="an-echo-of-ours-is-none"),
        pytest.param({"x-request-id": "req_1"}, None, id="only-an-echo"),
        pytest.param({}, None, id="none"),
        pytest.param({"x-request-id": ""}, None, id="empty"),
        pytest.param({"x-request-id": "a\r\nx-evil: 1"}, None, id="with-a-line-end"),
        pytest.param({"x-request-id": "a b"}, None, id="with-a-space"),
        pytest.param({"x-request-id": "\xfc"}, None, id="beyond-ascii"),
        pytest.param({"x-request-id": "x" * 201}, None, id="too-long"),
    ],
)
def test_the_providers_own_id(upstream: dict[str, str], shown: bytes | None) -> None:
    assert headers(facts(), upstream=upstream).get(b"x-penstock-upstream-request-id") == shown


def test_nothing_else_of_the_providers_headers_comes_back() -> None:
    """Neither its cookies nor its limits."""
    offered = {
        "set-cookie": "a=b",
        "x-ratelimit-remaining-requests": "1",
        "server": "x",
        "openai-organization": "o",
    }
    assert headers(facts(), upstream=offered) == headers(facts())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a\r\nset-cookie: x=1", id="a-line-end"),
        pytest.param("modèle-😀", id="beyond-ascii"),
        pytest.param("a\x00b\x7f", id="control-characters"),
        pytest.param("two words", id="a-space"),
        pytest.param("x" * 5000, id="very-long"),
    ],
)
def test_no_model_name_can_write_headers(name: str) -> None:
    for value in (model_header(facts(model=name))[1], headers(facts(target=name))[b"x-penstock-target"]):
        assert 0 < len(value) <= 200
        assert all(0x20 <= byte < 0x7F for byte in value)


def test_the_head_that_goes_early_names_the_alias_alone() -> None:
    """No attempt has answered then."""
    assert model_header(facts()) == (b"x-penstock-model", b"fast")
