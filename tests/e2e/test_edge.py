"""What is true of every request, whatever route it is for: ids, methods, hosts, origins, the path below a proxy."""

import re

import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway
from tests.e2e.raw import Peer, Reply, ask, get, post, request
from tests.fakes.behaviours import Status
from tests.fakes.provider import FakeProvider

CHAT = "/v1/chat/completions"
PAGE = b"https://app.example.com"


def body(model: str = "m", *, stream: bool = False) -> bytes:
    """A chat completion's body."""
    flag = b"true" if stream else b"false"
    return b'{"model":"%b","stream":%b,"messages":[{"role":"user","content":"Hi"}]}' % (model.encode(), flag)


def config(provider: FakeProvider, server: str = "") -> str:
    """One model at the fake provider, any at another name of it; `server` adds to its section."""
    return f"""
    [server]
    {server}
    [[providers]]
    name = "up"
    kind = "openai"
    base_url = "{provider.base_url}"
    [[providers]]
    name = "open"
    kind = "openai"
    base_url = "{provider.base_url}"
    [[models]]
    name = "m"
    targets = [{{ provider = "up", model = "x" }}]
    [retries]
    max_attempts = 1
    """


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    return start_gateway(config(provider))


@pytest.fixture(scope="module")
def shared(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    """Called by the pages of one origin."""
    return start_gateway(config(provider, f'cors_allow_origins = ["{PAGE.decode()}"]'))


@pytest.fixture(scope="module")
def below(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    """Served by a proxy below a path of its own."""
    return start_gateway(config(provider, 'root_path = "/gateway"'))


@pytest.mark.parametrize(
    ("method", "path", "data", "status"),
    [
        pytest.param(b"POST", CHAT, body(), 200, id="an-answer"),
        pytest.param(b"POST", CHAT, body(stream=True), 200, id="a-stream"),
        pytest.param(b"POST", CHAT, b"{", 400, id="a-bad-body"),
        pytest.param(b"POST", CHAT, body("nope"), 404, id="an-unknown-model"),
        pytest.param(b"GET", "/nowhere", None, 404, id="an-unknown-route"),
        pytest.param(b"GET", CHAT, None, 405, id="a-wrong-method"),
        pytest.param(b"TRACE", "/livez", None, 405, id="a-refused-method"),
        pytest.param(b"BREW", "/livez", None, 501, id="an-unknown-method"),
        pytest.param(b"GET", "/livez", None, 200, id="livez"),
        pytest.param(b"GET", "/metrics", None, 200, id="metrics"),
        pytest.param(b"GET", "/docs", None, 200, id="docs"),
        pytest.param(b"OPTIONS", CHAT, None, 204, id="options"),
    ],
)
def test_every_answer_has_the_request_id(
    gateway: Gateway, up: FakeProvider, method: bytes, path: str, data: bytes | None, status: int
) -> None:
    """The caller's own, in the head, the log, and the body of an error."""
    request_id = f"id-{method.decode()}-{status}-{path[1:].replace('/', '.')}-{len(data or b'')}"
    line = b"X-Request-ID: " + request_id.encode()
    reply = ask(gateway.base_url, request(method, path.encode(), line, body=data))
    assert reply.status == status
    assert reply.headers["x-request-id"] == request_id
    if status >= 400:
        assert reply.json["request_id"] == request_id
    assert gateway.wait_line(request_id=request_id)["status"] == status


def test_the_request_id_reaches_the_provider(gateway: Gateway, up: FakeProvider) -> None:
    """And the error that comes back carries it."""
    up.script(Status(400))
    reply = post(gateway.base_url, CHAT, body(), b"X-Request-ID: a.B_c:d-1")
    assert up.requests[0].headers["x-request-id"] == "a.B_c:d-1"
    assert reply.json["request_id"] == "a.B_c:d-1"


@pytest.mark.parametrize(
    "offered",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"a b", id="a-space"),
        pytest.param(b"a\tb", id="a-tab"),
        pytest.param("ä".encode(), id="not-ascii"),
        pytest.param(b"\xff\xfe", id="not-utf-8"),
        pytest.param(b"a" * 129, id="too-long"),
        pytest.param(b"a/b", id="a-slash"),
        pytest.param(b"<script>", id="markup"),
        pytest.param(b"a%0d%0aX-Evil: 1", id="escaped-line-ends"),
        pytest.param(b'{"a":1}', id="json"),
    ],
)
def test_bad_request_ids_are_replaced(gateway: Gateway, up: FakeProvider, offered: bytes) -> None:
    """By a new one, the same everywhere; nothing of the bad one is anywhere."""
    reply = post(gateway.base_url, CHAT, body(), b"X-Request-ID: " + offered)
    assert reply.status == 200
    found = reply.headers["x-request-id"]
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", found)
    assert found.encode() != offered
    assert up.requests[0].headers["x-request-id"] == found
    assert "x-evil" not in reply.headers


def test_a_request_id_of_128_characters_is_kept(gateway: Gateway) -> None:
    """The longest that is allowed."""
    assert (
        get(gateway.base_url, "/livez", b"X-Request-ID: " + b"a" * 128).headers["x-request-id"] == "a" * 128
    )


def test_new_request_ids_differ(gateway: Gateway) -> None:
    """Nobody gets another's."""
    assert len({get(gateway.base_url, "/livez").headers["x-request-id"] for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("open/a\\r\\nX-Evil: 1", id="line-ends"),
        pytest.param("open/a\\u0000b", id="nul"),
        pytest.param("open/ä☃", id="not-ascii"),
        pytest.param("open/" + "x" * 200, id="long"),
    ],
)
def test_a_models_name_can_not_break_a_header(gateway: Gateway, up: FakeProvider, model: str) -> None:
    """It is the client's choice where a provider serves any model, and goes into X-Penstock-Model."""
    reply = post(gateway.base_url, CHAT, body(model))
    assert reply.status == 200
    assert "x-evil" not in reply.headers
    assert re.fullmatch(r"[ -~]{1,256}", reply.headers["x-penstock-model"])


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        pytest.param("/livez", {"GET", "HEAD", "OPTIONS"}, id="a-get-route"),
        pytest.param("/v1/models", {"GET", "HEAD", "OPTIONS"}, id="models"),
        pytest.param("/v1/models/m", {"GET", "HEAD", "OPTIONS"}, id="one-model"),
        pytest.param(CHAT, {"POST", "OPTIONS"}, id="a-post-route"),
        pytest.param("/v1/messages", {"POST", "OPTIONS"}, id="messages"),
        pytest.param("/docs", {"GET", "HEAD", "OPTIONS"}, id="docs"),
    ],
)
def test_methods(gateway: Gateway, path: str, methods: set[str]) -> None:
    """OPTIONS says which there are, 405 says the same, and those not named are refused."""
    options = ask(gateway.base_url, request(b"OPTIONS", path.encode()))
    assert (options.status, options.body) == (204, b"")
    assert allowed(options) == methods
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods:
        data = b"{}" if method != "GET" else None
        refused = ask(gateway.base_url, request(method.encode(), path.encode(), body=data))
        assert (refused.status, refused.code) == (405, "method_not_allowed")
        assert allowed(refused) == methods


def allowed(reply: Reply) -> set[str]:
    """The methods in `Allow`."""
    return {name.strip() for name in reply.headers["allow"].split(",")}


@pytest.mark.parametrize(
    ("method", "status"),
    [
        pytest.param(b"TRACE", 405, id="trace"),
        pytest.param(b"BREW", 501, id="made-up"),
        pytest.param(b"PROPFIND", 501, id="webdav"),
        pytest.param(b"get", 501, id="in-small-letters"),
    ],
)
def test_unknown_methods(gateway: Gateway, method: bytes, status: int) -> None:
    reply = ask(gateway.base_url, request(method, b"/livez"))
    assert (reply.status, reply.code) == (status, "method_not_allowed")
    assert status != 405 or "allow" in reply.headers


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/livez", id="livez"),
        pytest.param("/health", id="health"),
        pytest.param("/v1/models", id="models"),
        pytest.param("/docs", id="docs"),
        pytest.param("/openapi.json", id="openapi"),
        pytest.param("/nowhere", id="an-unknown-route"),
        pytest.param(CHAT, id="a-post-route"),
    ],
)
def test_head_is_get_without_a_body(gateway: Gateway, path: str) -> None:
    """Same status, type and length; and the connection goes on in step."""
    whole = get(gateway.base_url, path)
    with Peer(gateway.base_url) as peer:
        peer.send(request(b"HEAD", path.encode()) + request(b"GET", b"/livez"))
        head = peer.reply(head_only=True)
        assert peer.reply().body == b'{"status":"ok"}'
    assert head.status == whole.status
    assert head.headers["content-type"] == whole.headers["content-type"]
    if path not in {"/health", "/nowhere", CHAT}:
        assert head.headers["content-length"] == str(len(whole.body))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param(b"localhost", 200, id="localhost"),
        pytest.param(b"localhost:8000", 200, id="any-port"),
        pytest.param(b"LocalHost:1", 200, id="in-any-letters"),
        pytest.param(b"127.0.0.1:80", 200, id="ipv4"),
        pytest.param(b"[::1]", 200, id="ipv6"),
        pytest.param(b"[::1]:8000", 200, id="ipv6-with-a-port"),
        pytest.param(b"evil.example", 403, id="another-name"),
        pytest.param(b"evil.example:8000", 403, id="another-name-with-a-port"),
        pytest.param(b"localhost.evil.example", 403, id="a-name-that-begins-right"),
        pytest.param(b"evil.localhost", 403, id="a-name-that-ends-right"),
        pytest.param(b"127.0.0.1.evil.example", 403, id="an-address-that-begins-right"),
        pytest.param(b"127.0.0.2", 403, id="another-loopback-address"),
        pytest.param(b"0.0.0.0", 403, id="the-unspecified-address"),
        pytest.param(b"localhost:8000:9000", 403, id="two-ports"),
        pytest.param(b"localhost@evil.example", 403, id="as-a-user"),
        pytest.param(b"", 400, id="empty"),
    ],
)
@pytest.mark.parametrize("path", [pytest.param("/livez", id="get"), pytest.param(CHAT, id="post")])
def test_an_open_server_answers_to_loopback_names_only(
    gateway: Gateway, path: str, host: bytes, status: int
) -> None:
    data = body() if path == CHAT else None
    reply = ask(gateway.base_url, request(b"POST" if data else b"GET", path.encode(), body=data, host=host))
    assert reply.status == status
    if status == 403:
        assert reply.code == "permission_denied"
        assert "Host" in str(reply.json["detail"])


def test_a_second_host_does_not_open_the_door(gateway: Gateway) -> None:
    """Whichever of the two a server would take (RFC 9112, 3.2)."""
    for first, second in ((b"localhost", b"evil.example"), (b"evil.example", b"localhost")):
        reply = ask(gateway.base_url, request(b"GET", b"/livez", b"Host: " + second, host=first))
        assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        pytest.param(b"GET /livez HTTP/1.0\r\n\r\n", 200, id="1.0-knows-none"),
        pytest.param(b"GET /livez HTTP/1.0\r\nHost: evil.example\r\n\r\n", 403, id="1.0-with-another-name"),
        pytest.param(b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", 400, id="1.1-must-have-one"),
    ],
)
def test_a_request_without_a_host(gateway: Gateway, asked: bytes, status: int) -> None:
    assert ask(gateway.base_url, asked).status == status


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize(
    "path", [b"//v1/messages", b"/v1//messages", b"//v1/chat/completions", b"//livez", b"//"]
)
def test_slashes_side_by_side_are_no_route(gateway: Gateway, method: bytes, path: bytes) -> None:
    """Or a proxy that lets nobody at `/admin` would let `//admin` through."""
    reply = ask(gateway.base_url, request(method, path, body=body() if method == b"POST" else None))
    assert (reply.status, reply.code) == (404, "not_found")
    assert reply.json["type"] == "urn:penstock:problem:not_found"
    assert "one slash" in str(reply.json["detail"])


def test_a_query_that_is_no_text_is_refused(gateway: Gateway) -> None:
    """Wherever it is sent: nobody is answered for another tenant than was named."""
    reply = ask(gateway.base_url, request(b"GET", b"/readyz?verbose&from=%ff%fe"))
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert str(reply.json["detail"]).startswith("from: ")


def test_who_said_so_is_served_by_any_name(start_gateway: StartGateway, provider: FakeProvider) -> None:
    """--insecure-no-auth is on purpose."""
    gateway = start_gateway(config(provider), args=("--insecure-no-auth",))
    assert ask(gateway.base_url, request(b"GET", b"/livez", host=b"gw.example")).status == 200


def test_no_origin_is_allowed_unless_configured(gateway: Gateway) -> None:
    """Without a word of CORS the browser keeps the answer from the page."""
    reply = get(gateway.base_url, "/livez", b"Origin: " + PAGE)
    assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("method", "path", "data", "status"),
    [
        pytest.param(b"POST", CHAT, body(), 200, id="an-answer"),
        pytest.param(b"POST", CHAT, body(stream=True), 200, id="a-stream"),
        pytest.param(b"POST", CHAT, b"{", 400, id="a-bad-body"),
        pytest.param(b"POST", CHAT, body("nope"), 404, id="an-unknown-model"),
        pytest.param(b"GET", "/nowhere", None, 404, id="an-unknown-route"),
        pytest.param(b"GET", CHAT, None, 405, id="a-wrong-method"),
        pytest.param(b"BREW", "/livez", None, 501, id="an-unknown-method"),
    ],
)
def test_cors_headers_are_on_every_answer(
    shared: Gateway, up: FakeProvider, method: bytes, path: str, data: bytes | None, status: int
) -> None:
    """On errors too, or the page could not read why."""
    reply = ask(shared.base_url, request(method, path.encode(), b"Origin: " + PAGE, body=data))
    assert reply.status == status
    assert reply.headers["access-control-allow-origin"] == PAGE.decode()
    exposed = {name.strip().lower() for name in reply.headers["access-control-expose-headers"].split(",")}
    assert exposed >= {"x-request-id", "x-stream-id", "retry-after", "ratelimit", "ratelimit-policy"}
    assert "origin" in reply.headers["vary"].lower()
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param(b"https://evil.example", id="another"),
        pytest.param(b"http://app.example.com", id="another-scheme"),
        pytest.param(b"https://app.example.com.evil.example", id="a-longer-name"),
        pytest.param(b"https://app.example.com:444", id="another-port"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff", id="not-utf-8"),
    ],
)
def test_other_origins_are_not_allowed(shared: Gateway, origin: bytes) -> None:
    reply = get(shared.base_url, "/livez", b"Origin: " + origin)
    assert reply.status == 200
    assert "access-control-allow-origin" not in reply.headers
    assert "origin" in reply.headers["vary"].lower()


@pytest.mark.parametrize("path", [pytest.param(CHAT, id="chat"), pytest.param("/livez", id="livez")])
def test_preflight(shared: Gateway, path: str) -> None:
    """The answer to a browser's question: methods and headers that pages may use."""
    reply = ask(
        shared.base_url,
        request(
            b"OPTIONS",
            path.encode(),
            b"Origin: " + PAGE,
            b"Access-Control-Request-Method: POST",
            b"Access-Control-Request-Headers: authorization,content-type,x-request-id",
        ),
    )
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == PAGE.decode()
    assert "POST" in reply.headers["access-control-allow-methods"]
    allowed_headers = reply.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed_headers
    assert "*" in allowed_headers or "content-type" in allowed_headers


def test_any_origin_where_configured(start_gateway: StartGateway, provider: FakeProvider) -> None:
    """A star, and then no Vary is needed."""
    gateway = start_gateway(config(provider, 'cors_allow_origins = ["*"]'))
    reply = get(gateway.base_url, "/nowhere", b"Origin: https://any.example")
    assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("prefix", [pytest.param("/gateway", id="kept"), pytest.param("", id="stripped")])
def test_paths_below_root_path(below: Gateway, up: FakeProvider, prefix: str) -> None:
    """Whether the proxy takes the prefix away or not, the routes are there."""
    assert get(below.base_url, f"{prefix}/livez").json == {"status": "ok"}
    assert get(below.base_url, f"{prefix}/docs").status == 200
    assert post(below.base_url, prefix + CHAT, body()).status == 200
    assert post(below.base_url, prefix + CHAT, body(stream=True)).body.endswith(b"data: [DONE]\n\n")
    refused = post(below.base_url, prefix + "/v1/messages", b"{")
    assert (refused.status, refused.json["type"]) == (400, "error")
    assert get(below.base_url, f"{prefix}/nowhere").code == "not_found"


def test_only_whole_segments_are_below_root_path(below: Gateway) -> None:
    """A path that merely begins alike is another one."""
    assert get(below.base_url, "/gatewaylivez").status == 404
    assert get(below.base_url, "/gateway/gateway/livez").status == 404


def test_the_document_says_where_it_is_served(below: Gateway, gateway: Gateway) -> None:
    """`servers` in /openapi.json, so that /docs calls the right address."""
    assert get(below.base_url, "/openapi.json").json["servers"] == [{"url": "/gateway"}]
    assert get(gateway.base_url, "/openapi.json").json["servers"] == [{"url": "/"}]
