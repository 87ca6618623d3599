"""Whatever JSON a client sends: a 4xx that names the field and the remedy, never a 500, never a hang."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway
from tests.e2e.raw import ask, assert_problem, post, request

CHAT = "/v1/chat/completions"
GOOD = b'{"model":"sim","messages":[{"role":"user","content":"Hi"}]}'


def and_also(members: bytes) -> bytes:
    """The good body with `members` at its end."""
    return GOOD[:-1] + b"," + members + b"}"


@pytest.fixture(scope="module")
def running(start_gateway: StartGateway) -> Gateway:
    """Without a file: as a new user has it."""
    return start_gateway()


@pytest.fixture
def gateway(running: Gateway) -> Iterator[Gateway]:
    """The running one; after each test it still has to serve, and nothing may have been a 500."""
    yield running
    assert post(running.base_url, CHAT, GOOD).status == 200
    assert "Traceback" not in running.log + running.stderr


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        pytest.param(b'{"model": "sim", "messages": [', None, "JSON", id="truncated-json"),
        pytest.param(b"{'model': 'sim'}", None, "JSON", id="single-quotes"),
        pytest.param(GOOD + b"x", None, "JSON", id="something-behind-the-object"),
        pytest.param(GOOD + GOOD, None, "JSON", id="two-objects"),
        pytest.param(b"", None, "empty", id="empty"),
        pytest.param(b"   ", None, "JSON", id="only-spaces"),
        pytest.param(b"[]", None, "JSON object", id="an-array"),
        pytest.param(b'"text"', None, "JSON object", id="a-string"),
        pytest.param(b"5", None, "JSON object", id="a-number"),
        pytest.param(b"null", None, "JSON object", id="null"),
        pytest.param(b"{}", "model", "required", id="an-empty-object"),
        pytest.param(b'{"model":"sim"}', "messages", "required", id="no-messages"),
        pytest.param(b'{"messages":[{"role":"user","content":"Hi"}]}', "model", "required", id="no-model"),
        pytest.param(GOOD.replace(b'"sim"', b'""'), "model", "length", id="an-empty-model"),
        pytest.param(GOOD.replace(b'"sim"', b"5"), "model", "str", id="a-number-as-model"),
        pytest.param(GOOD.replace(b'"sim"', b"null"), "model", "str", id="null-as-model"),
        pytest.param(b'{"model":"sim","messages":[]}', "messages", "length", id="empty-messages"),
        pytest.param(b'{"model":"sim","messages":"Hi"}', "messages", "array", id="text-as-messages"),
        pytest.param(b'{"model":"sim","messages":["Hi"]}', "messages[0]", "object", id="text-as-a-message"),
        pytest.param(
            b'{"model":"sim","messages":[{"content":"Hi"}]}', "messages[0].role", "required", id="no-role"
        ),
        pytest.param(GOOD.replace(b'"user"', b"7"), "messages[0].role", "str", id="a-number-as-role"),
        pytest.param(GOOD.replace(b'"Hi"', b"7"), "messages[0].content", "", id="a-number-as-content"),
        pytest.param(and_also(b'"temperature":3'), "temperature", "2", id="temperature-too-high"),
        pytest.param(and_also(b'"temperature":-1'), "temperature", "0", id="temperature-below-zero"),
        pytest.param(and_also(b'"temperature":"1"'), "temperature", "float", id="temperature-as-text"),
        pytest.param(and_also(b'"top_p":1.1'), "top_p", "1", id="top-p-too-high"),
        pytest.param(and_also(b'"max_tokens":0'), "max_tokens", "1", id="no-tokens-at-all"),
        pytest.param(
            and_also(b'"max_completion_tokens":-5'), "max_completion_tokens", "", id="less-than-none"
        ),
        pytest.param(and_also(b'"max_tokens":1.5'), "max_tokens", "int", id="half-a-token"),
        pytest.param(and_also(b'"n":0'), "n", "1", id="no-answers"),
        pytest.param(and_also(b'"n":129'), "n", "128", id="too-many-answers"),
        pytest.param(and_also(b'"presence_penalty":2.5'), "presence_penalty", "2", id="penalty-too-high"),
        pytest.param(and_also(b'"frequency_penalty":-3'), "frequency_penalty", "-2", id="penalty-too-low"),
        pytest.param(and_also(b'"top_logprobs":21'), "top_logprobs", "20", id="too-many-logprobs"),
        pytest.param(and_also(b'"stream":"yes"'), "stream", "bool", id="text-as-stream"),
        pytest.param(and_also(b'"stream":1'), "stream", "bool", id="a-number-as-stream"),
        pytest.param(and_also(b'"stop":5'), "stop", "", id="a-number-as-stop"),
        pytest.param(and_also(b'"tools":{}'), "tools", "array", id="an-object-as-tools"),
        pytest.param(and_also(b'"tools":[5]'), "tools[0]", "object", id="a-number-as-a-tool"),
        pytest.param(and_also(b'"seed":"x"'), "seed", "int", id="text-as-seed"),
        pytest.param(and_also(b'"logit_bias":[1]'), "logit_bias", "object", id="an-array-as-logit-bias"),
        pytest.param(and_also(b'"stream_options":true'), "stream_options", "object", id="no-stream-options"),
        pytest.param(GOOD.replace(b"Hi", b"\xff"), None, "UTF-8", id="invalid-utf-8"),
        pytest.param(GOOD.replace(b"Hi", b"\xed\xa0\x80"), None, "UTF-8", id="a-surrogate-in-utf-8"),
        pytest.param(GOOD.replace(b"Hi", b"\xc0\x80"), None, "UTF-8", id="overlong-utf-8"),
        pytest.param(and_also(b'"unknown":"\xff"'), None, "UTF-8", id="invalid-utf-8-in-an-unknown-field"),
        pytest.param(GOOD.decode().encode("utf-16"), None, "UTF-8", id="utf-16"),
        pytest.param(b"\xef\xbb\xbf" + GOOD, None, "JSON", id="a-byte-order-mark"),
        pytest.param(GOOD.replace(b"Hi", b"\\ud800"), None, "", id="half-a-surrogate-pair"),
        pytest.param(GOOD.replace(b"Hi", b"a\nb"), None, "JSON", id="a-bare-line-feed-in-a-string"),
        pytest.param(and_also(b'"temperature":1e999'), None, "1e999", id="1e999-in-a-known-field"),
        pytest.param(and_also(b'"unknown":1e999'), None, "1e999", id="1e999-in-an-unknown-field"),
        pytest.param(and_also(b'"unknown":[{"a":-1E+999}]'), None, "1E+999", id="1e999-deep-down"),
        pytest.param(and_also(b'"unknown":' + b"9" * 400), None, "range", id="an-integer-of-400-digits"),
        pytest.param(and_also(b'"unknown":NaN'), None, "JSON", id="nan"),
        pytest.param(and_also(b'"unknown":Infinity'), None, "JSON", id="infinity"),
        pytest.param(and_also(b'"temperature":-Infinity'), None, "JSON", id="infinity-in-a-known-field"),
        pytest.param(and_also(b'"model":"other"'), "model", "twice", id="a-key-twice"),
        pytest.param(and_also(b'"Model":"other"'), "Model", "twice", id="a-key-twice-by-case"),
        pytest.param(and_also(b'"mod\\u0065l":"other"'), "model", "twice", id="a-key-twice-by-escape"),
        pytest.param(and_also(b'"MOD\\u0045L":"other"'), "MODEL", "twice", id="by-case-and-escape"),
        pytest.param(and_also(b'"a":1,"a":1'), "a", "twice", id="an-unknown-key-twice"),
        pytest.param(and_also(b'"\xc3\xa4":1,"\xc3\x84":1'), None, "twice", id="a-key-twice-by-umlaut"),
        pytest.param(
            GOOD.replace(b",", b" ,\n\t", 1)[:-1] + b' , "model" : "x" }', "model", "twice", id="spaced"
        ),
        pytest.param(and_also(b'"x":' + b"[" * 10_000 + b"]" * 10_000), None, "200", id="10000-arrays-deep"),
        pytest.param(
            and_also(b'"x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000), None, "200", id="objects-deep"
        ),
        pytest.param(and_also(b'"x":' + b"[" * 200 + b"]" * 200), None, "200", id="201-levels"),
        pytest.param(b"[" * 100_000, None, "", id="100000-brackets"),
    ],
)
def test_bad_bodies(gateway: Gateway, body: bytes, param: str | None, says: str) -> None:
    reply = post(gateway.base_url, CHAT, body)
    assert_problem(reply, 400, "invalid_request")
    if param is not None:
        assert reply.param == param
        assert reply.json["errors"] == [{"path": param, "message": reply.json["detail"]}]
    assert says in str(reply.json["detail"])
    assert len(reply.body) < 4_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(and_also(b'"unknown":' + b"[" * 198 + b"]" * 198), id="just-deep-enough"),
        pytest.param(and_also(b'"unknown":"[[[[{{{{"'), id="brackets-in-a-string"),
        pytest.param(and_also(b'"unknown":"1e999 NaN"'), id="numbers-in-a-string"),
        pytest.param(and_also(b'"unknown":1e308'), id="a-large-finite-number"),
        pytest.param(and_also(b'"unknown":{"model":1,"Model":2}'), id="equal-names-further-down"),
        pytest.param(GOOD.replace(b"Hi", b"\\u0000\\ud83c\\udf0a"), id="escapes"),
        pytest.param(b"\r\n\t " + GOOD + b" \r\n", id="spaces-around"),
        pytest.param(and_also(b'"temperature":null,"stop":null,"tools":null'), id="nulls"),
    ],
)
def test_unusual_but_good_bodies(gateway: Gateway, body: bytes) -> None:
    assert post(gateway.base_url, CHAT, body).status == 200


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        pytest.param("/v1/embeddings", b'{"model":"sim"}', "input", id="embeddings-without-input"),
        pytest.param("/v1/embeddings", b'{"model":"sim","input":5}', "input", id="embeddings-of-a-number"),
        pytest.param(
            "/v1/embeddings", b'{"model":"sim","input":"a","dimensions":0}', "dimensions", id="flat"
        ),
        pytest.param("/v1/completions", b'{"model":"sim"}', "prompt", id="completions-without-prompt"),
        pytest.param("/chat", b"{}", "message", id="simple-without-message"),
        pytest.param("/chat", b'{"message":7}', "message", id="simple-with-a-number"),
        pytest.param("/stream", b'{"message":"a","temperature":9}', "temperature", id="simple-too-hot"),
        pytest.param("/chat/batch", b'{"items":[]}', "items", id="an-empty-batch"),
        pytest.param(
            "/chat/batch", b'{"items":[' + b'{"message":"a"},' * 100 + b'{"message":"a"}]}', "items", id="101"
        ),
    ],
)
def test_bad_bodies_of_other_routes(gateway: Gateway, path: str, body: bytes, param: str) -> None:
    reply = post(gateway.base_url, path, body)
    assert_problem(reply, 400, "invalid_request")
    assert reply.param == param


@pytest.mark.parametrize(
    "path",
    [pytest.param("/v1/messages", id="messages"), pytest.param("/v1/messages/count_tokens", id="count")],
)
@pytest.mark.parametrize(
    ("body", "status", "param", "kind"),
    [
        pytest.param(
            b'{"model":"sim","max_tokens":5}', 400, "messages", "invalid_request_error", id="no-messages"
        ),
        pytest.param(b"[", 400, None, "invalid_request_error", id="no-json"),
        pytest.param(
            b'{"model":"nope","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}',
            404,
            "model",
            "not_found_error",
            id="unknown-model",
        ),
    ],
)
def test_anthropics_shape_on_its_routes(
    gateway: Gateway, path: str, body: bytes, status: int, param: str | None, kind: str
) -> None:
    reply = post(gateway.base_url, path, body)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["type"] == "error"
    error = reply.json["error"]
    assert isinstance(error, dict)
    assert (error["type"], error["param"]) == (kind, param)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("nope", id="any"),
        pytest.param("nobody/../x", id="with-slashes"),
        pytest.param("a\r\nX-Evil: 1", id="with-line-ends"),
        pytest.param("\0", id="nul"),
        pytest.param("x" * 100_000, id="very-long"),
    ],
)
def test_unknown_models(gateway: Gateway, name: str) -> None:
    escaped = name.replace("\r\n", "\\r\\n").replace("\0", "\\u0000").encode()
    reply = post(gateway.base_url, CHAT, GOOD.replace(b"sim", escaped))
    assert_problem(reply, 404, "model_not_found")
    assert reply.param == "model"
    assert "x-evil" not in reply.headers
    assert len(reply.body) < 4_000


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        pytest.param(b"text/plain", 415, id="text"),
        pytest.param(b"text/plain;charset=UTF-8", 415, id="a-pages-simple-post"),
        pytest.param(b"application/x-www-form-urlencoded", 415, id="a-form"),
        pytest.param(b"multipart/form-data; boundary=x", 415, id="a-form-with-files"),
        pytest.param(b"application/jsonp", 415, id="nearly-json"),
        pytest.param(b"text/plain, application/json", 415, id="a-list"),
        pytest.param(b"", 415, id="empty"),
        pytest.param(None, 415, id="none"),
        pytest.param(b"application/json", 200, id="json"),
        pytest.param(b"application/json; charset=utf-8", 200, id="with-a-charset"),
        pytest.param(b'Application/JSON ;Charset="UTF-8"', 200, id="in-odd-letters"),
    ],
)
@pytest.mark.parametrize("path", [pytest.param(CHAT, id="chat"), pytest.param("/chat", id="simple")])
def test_content_types(gateway: Gateway, path: str, content_type: bytes | None, status: int) -> None:
    body = GOOD if path == CHAT else b'{"message":"Hi"}'
    reply = ask(gateway.base_url, request(b"POST", path.encode(), body=body, content_type=content_type))
    assert reply.status == status
    if status == 415:
        assert_problem(reply, 415, "unsupported_media_type")
        assert "application/json" in str(reply.json["detail"])


def test_the_content_type_is_looked_at_before_the_body(gateway: Gateway) -> None:
    """A form is refused as such, whatever it holds."""
    reply = ask(
        gateway.base_url,
        request(b"POST", CHAT.encode(), body=b"{", content_type=b"application/x-www-form-urlencoded"),
    )
    assert_problem(reply, 415, "unsupported_media_type")
