"""How a provider's refusal reads, and what of it may be shown."""

import email.utils

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.providers.base import Fault, FaultKind
from service.providers.faults import (
    MAX_MESSAGE_CHARACTERS,
    ErrorMember,
    concealing,
    fault_of_answer,
    fault_of_event,
    read_error,
    retry_after,
    without_secrets,
)

NOW = 1_700_000_000.0


def answered(status: int, body: object = None, headers: dict[str, str] | None = None) -> Fault:
    """The fault of an answer with this status and body."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return fault_of_answer(status, headers or {}, raw, now=NOW)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *[pytest.param(status, FaultKind.REJECTED, id=f"{status}-is-final") for status in (400, 402, 405, 413, 415, 422, 431)],
        *[pytest.param(status, FaultKind.UNAUTHORIZED, id=f"{status}-is-passed-on") for status in (401, 403)],
        pytest.param(404, FaultKind.MISSING, id="404-is-passed-on"),
        pytest.param(429, FaultKind.OVERLOADED, id="429-is-retried"),
        *[pytest.param(status, FaultKind.FAILED, id=f"{status}-is-retried") for status in (408, 409, 500, 502, 503, 504, 529, 599)],
        *[pytest.param(status, FaultKind.FAILED, id=f"{status}-is-no-answer") for status in (301, 302, 307)],
    ],
)  # fmt: skip
def test_the_status_says_what_follows(status: int, kind: FaultKind) -> None:
    fault = answered(status)
    assert (fault.kind, fault.status, fault.reason) == (kind, status, f"http_{status}")
    assert fault.detail == f"The provider answered {status}."


@pytest.mark.parametrize(
    "error",
    [
        pytest.param({"message": "Filtered.", "code": "content_filter"}, id="by-code"),
        pytest.param({"message": "Filtered.", "type": "content_filter"}, id="by-type"),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_content_filter_is_final_whatever_the_status(status: int, error: dict[str, str]) -> None:
    assert answered(status, {"error": error}).kind is FaultKind.REJECTED


@pytest.mark.parametrize(
    ("body", "message", "code", "type_", "param"),
    [
        pytest.param(b'{"error":{"message":"No.","type":"t","code":"c","param":"p"}}', "No.", "c", "t", "p", id="openais"),
        pytest.param(b'{"type":"error","error":{"type":"t","message":"No."}}', "No.", None, "t", None, id="anthropics"),
        pytest.param(b'{"error":{"message":"No.","code":1234}}', "No.", "1234", None, None, id="a-number-as-code"),
        pytest.param(b'{"error":{"message":"No.","code":40.0,"param":null}}', "No.", "40.0", None, None, id="a-float-as-code"),
        pytest.param(b'{"error":"No."}', "No.", None, None, None, id="a-bare-text"),
        pytest.param(b'{"message":"No.","object":"error"}', "No.", None, None, None, id="without-the-member"),
        pytest.param(b'{"error":{"message":"No.","extra":{"a":[1]}},"x":1}', "No.", None, None, None, id="unknown-members"),
    ],
)  # fmt: skip
def test_the_providers_words_are_kept(
    body: bytes, message: str, code: str | None, type_: str | None, param: str | None
) -> None:
    fault = answered(422, body)
    assert (fault.detail, fault.code, fault.type, fault.param) == (message, code, type_, param)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=repr(body[:24]))
        for body in (
            b"", b"<html>Bad Gateway</html>", b"upstream error", b"[]", b"null", b"1", b'{"error":null}', b'{"error":[1]}',
            b'{"error":{"message":["a"]}}', b'{"error":{"message":"\xff"}}', b'{"error":', b"[" * 100_000,
        )
    ],
)  # fmt: skip
def test_any_other_body_says_nothing(body: bytes) -> None:
    assert read_error(body) == ErrorMember()
    assert answered(503, body).detail == "The provider answered 503."


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"retry-after": "7"}, 7.0, id="seconds"),
        pytest.param({"retry-after": "0"}, 0.0, id="at-once"),
        pytest.param({"retry-after": "1.5"}, 1.5, id="a-fraction-as-some-send"),
        pytest.param({"retry-after-ms": "250", "retry-after": "1"}, 0.25, id="milliseconds-are-finer"),
        pytest.param({"retry-after-ms": "soon", "retry-after": "1"}, 1.0, id="unless-they-are-no-number"),
        pytest.param({"retry-after": email.utils.formatdate(NOW + 90, usegmt=True)}, 90.0, id="a-date"),
        pytest.param({"retry-after": email.utils.formatdate(NOW - 90, usegmt=True)}, 0.0, id="a-date-gone-by"),
        pytest.param({"retry-after": "Tuesday, 14-Nov-23 22:14:50 GMT"}, 90.0, id="an-obsolete-date"),
        *[
            pytest.param({"retry-after": text}, None, id=repr(text))
            for text in ("", "-1", "+1", "soon", "1e9", "NaN", "inf", "1 2", "9" * 400, "٣", "Mon, 99 Foo 2020", "\x00")
        ],
    ],
)  # fmt: skip
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOW) == seconds
    assert answered(429, headers=headers).retry_after_seconds == seconds


@given(st.text(max_size=40))
def test_no_header_value_is_an_error_of_ours(text: str) -> None:
    """Whatever comes, it is a pause of some seconds or nothing."""
    seconds = retry_after({"retry-after": text}, now=NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        pytest.param({"type": "overloaded_error"}, FaultKind.FAILED, 529, id="anthropics-overload"),
        pytest.param({"type": "rate_limit_error"}, FaultKind.OVERLOADED, 429, id="anthropics-limit"),
        pytest.param({"code": "rate_limit_exceeded"}, FaultKind.OVERLOADED, 429, id="openais-limit"),
        pytest.param({"type": "insufficient_quota"}, FaultKind.OVERLOADED, 429, id="openais-quota"),
        pytest.param({"type": "authentication_error"}, FaultKind.UNAUTHORIZED, 401, id="credentials"),
        pytest.param({"type": "permission_error"}, FaultKind.UNAUTHORIZED, 403, id="permission"),
        pytest.param({"type": "not_found_error"}, FaultKind.MISSING, 404, id="missing"),
        pytest.param({"type": "invalid_request_error"}, FaultKind.REJECTED, 400, id="the-request"),
        pytest.param({"type": "request_too_large"}, FaultKind.REJECTED, 413, id="its-size"),
        pytest.param({"code": "content_filter"}, FaultKind.REJECTED, 400, id="a-filter"),
        pytest.param({"code": 429, "type": "x"}, FaultKind.OVERLOADED, 429, id="a-status-as-code"),
        pytest.param({"code": 503}, FaultKind.FAILED, 503, id="a-server-error-as-code"),
        pytest.param({"code": 42}, FaultKind.FAILED, 500, id="a-code-that-is-no-status"),
        pytest.param({"type": "server_error"}, FaultKind.FAILED, 500, id="openais-own"),
        pytest.param({"type": "api_error"}, FaultKind.FAILED, 500, id="anthropics-own"),
        pytest.param({}, FaultKind.FAILED, 500, id="nothing-said"),
        pytest.param({"code": "server_error", "type": "invalid_request_error"}, FaultKind.REJECTED, 400, id="an-unknown-code-and-a-known-type"),
    ],
)  # fmt: skip
def test_an_error_inside_a_200_means_what_its_words_mean(
    error: dict[str, object], kind: FaultKind, status: int
) -> None:
    fault = fault_of_event(msgspec.convert({"message": "No.", **error}, ErrorMember))
    assert (fault.kind, fault.status, fault.detail) == (kind, status, "No.")


KEY = "sk-proj-Ab12Cd34Ef56Gh78"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"Incorrect API key provided: {KEY}", "Incorrect API key provided: [redacted]", id="openais-key"),
        pytest.param("bad sk-ant-api03-xxxxxxxx here", "bad [redacted] here", id="anthropics-key"),
        pytest.param("Incorrect API key provided: sk-Ab***********Gh78", "Incorrect API key provided: [redacted]", id="half-a-key"),
        pytest.param("header 'Bearer abcdefgh12345'", "header '[redacted]'", id="a-bearer-token"),
        pytest.param("at https://10.0.0.7:8443/v1?a=b, sorry", "at [address] sorry", id="a-url"),
        pytest.param('see "http://internal.host/v1"', 'see "[address]"', id="a-quoted-url"),
        pytest.param("connect to 10.0.0.7:8443 failed", "connect to [address] failed", id="an-address"),
        pytest.param("messages[0].role: expected one of a, b", "messages[0].role: expected one of a, b", id="an-ordinary-message"),
        pytest.param("the key is missing", "the key is missing", id="a-word-that-keys-begin-with"),
        pytest.param("x" * 9000, "x" * MAX_MESSAGE_CHARACTERS, id="a-traceback-is-cut"),
    ],
)  # fmt: skip
def test_no_secret_and_no_address_is_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert answered(400, {"error": {"message": text}}).detail == shown


@pytest.mark.parametrize(
    ("api_key", "authority", "text", "shown"),
    [
        pytest.param("hunter2-hunter2", "h:1", "key hunter2-hunter2 is bad", "key [redacted] is bad", id="the-very-key"),
        pytest.param(None, "vllm.local:8000", "vllm.local:8000 is down", "[redacted] is down", id="the-very-address"),
        pytest.param(None, "vllm.local:8000", "no vllm.local here", "no [redacted] here", id="its-host-alone"),
        pytest.param("none", "ollama:11434", "none of ollama is down", "none of ollama is down", id="placeholders-stay"),
        pytest.param("a.*b(c+d)", "h:1", "is a.*b(c+d) not aXXb", "is [redacted] not aXXb", id="no-key-is-a-pattern"),
        pytest.param(None, "h:1", f"has {KEY}", "has [redacted]", id="what-looks-like-a-key-anyway"),
    ],
)  # fmt: skip
def test_the_configured_key_and_address_are_hidden(
    api_key: str | None, authority: str, text: str, shown: str
) -> None:
    assert concealing(api_key=api_key, authority=authority)(text) == shown


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        pytest.param("No such model.", "No such model.", id="a-text"),
        pytest.param([{"msg": "too long"}], '{"msg":"too long"}', id="a-list-of-mistakes"),
    ],
)
def test_what_a_fastapi_server_says_is_told(detail: object, shown: str) -> None:
    """vLLM and its like answer `{"detail": …}` where OpenAI has `error`."""
    assert answered(422, {"detail": detail}).detail == shown
