"""Whatever HTTP a client sends: framing, sizes, paths, pace; never a 500, never a hang."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway
from tests.e2e.raw import Peer, ask, assert_problem, get, post, request

CHAT = "/v1/chat/completions"
GOOD = b'{"model":"sim","messages":[{"role":"user","content":"Hi"}]}'


def padded(size_bytes: int) -> bytes:
    """The good body with so many bytes more in a field that nobody knows."""
    return GOOD[:-1] + b',"x":"' + b"a" * size_bytes + b'"}'


@pytest.fixture(scope="module")
def running(start_gateway: StartGateway) -> Gateway:
    """Without a file: as a new user has it."""
    return start_gateway()


@pytest.fixture(scope="module")
def quick(start_gateway: StartGateway) -> Gateway:
    """With little patience for bodies, and small ones."""
    return start_gateway(
        """
        [server]
        body_timeout_seconds = 0.5
        max_body_bytes = 100_000
        [[providers]]
        name = "sim"
        kind = "sim"
        """
    )


@pytest.fixture
def gateway(running: Gateway) -> Iterator[Gateway]:
    """The running one; after each test it still has to serve, and nothing may have been a 500."""
    yield running
    assert post(running.base_url, CHAT, GOOD).status == 200
    assert "Traceback" not in running.log + running.stderr


def chunked(body: bytes, *lines: bytes) -> bytes:
    """A POST whose body comes in chunks of 64 KB."""
    pieces = (body[start : start + 65536] for start in range(0, len(body), 65536))
    head = request(
        b"POST", CHAT.encode(), b"Content-Type: application/json", b"Transfer-Encoding: chunked", *lines
    )
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_a_body_said_to_be_too_large(gateway: Gateway) -> None:
    """Refused by its Content-Length, before a byte of it is read; the connection ends."""
    head = request(b"POST", CHAT.encode(), b"Content-Type: application/json", b"Content-Length: 10000001")
    with Peer(gateway.base_url) as peer:
        peer.send(head)
        assert_problem(peer.reply(), 413, "too_large")


def test_a_large_body_with_a_length(gateway: Gateway) -> None:
    """A client that sends it all the same still gets to read the answer."""
    reply = post(gateway.base_url, CHAT, padded(10_000_000))
    assert_problem(reply, 413, "too_large")
    assert "10000000" in str(reply.json["detail"])


def test_a_large_body_in_chunks(gateway: Gateway) -> None:
    """Counted while it comes."""
    reply = ask(gateway.base_url, chunked(padded(10_000_000)))
    assert_problem(reply, 413, "too_large")


def test_a_body_just_small_enough(gateway: Gateway) -> None:
    """The limit itself is no mistake."""
    body = padded(10_000_000 - len(padded(0)))
    assert len(body) == 10_000_000
    assert post(gateway.base_url, CHAT, body).status == 200
    assert ask(gateway.base_url, chunked(body)).status == 200


def test_bodies_in_chunks(gateway: Gateway) -> None:
    """Without a Content-Length, with trailers too."""
    assert ask(gateway.base_url, chunked(GOOD)).status == 200
    trailed = chunked(GOOD, b"Trailer: X-Sum").removesuffix(b"\r\n") + b"X-Sum: 1\r\n\r\n"
    assert ask(gateway.base_url, trailed).status == 200


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param((b"Content-Length: %d" % (len(GOOD) - 9),), id="a-body-longer-than-said"),
        pytest.param((b"Transfer-Encoding: chunked",), id="no-chunks-where-chunks-were-said"),
        pytest.param((b"Content-Length: 5", b"Content-Length: 6"), id="two-lengths"),
        pytest.param((b"Content-Length: -5",), id="a-negative-length"),
        pytest.param((b"Content-Length: +59",), id="a-signed-length"),
        pytest.param((b"Content-Length: 0x3b",), id="a-length-in-hex"),
        pytest.param((b"Content-Length: 99999999999999999999999",), id="a-length-beyond-64-bits"),
        pytest.param((b"Content-Length: 59, 60",), id="a-list-of-lengths"),
        pytest.param((b"Transfer-Encoding: gzip",), id="an-unknown-coding"),
        pytest.param((b"Transfer-Encoding: chunked, identity",), id="chunked-not-last"),
        pytest.param((b"X-Folded: a\r\n b",), id="a-folded-line"),
        pytest.param((b"X Space: a",), id="a-name-with-a-space"),
        pytest.param((b"X-Nul: a\0b",), id="a-nul-in-a-value"),
        pytest.param((b": no name",), id="no-name"),
    ],
)
def test_broken_framing(gateway: Gateway, framing: tuple[bytes, ...]) -> None:
    """The HTTP server's own refusal: a 4xx and the end of the connection, so nothing can be smuggled."""
    head = request(b"POST", CHAT.encode(), b"Content-Type: application/json", *framing)
    with Peer(gateway.base_url) as peer:
        peer.send(head + GOOD)
        reply = peer.reply()
        assert 400 <= reply.status < 500
        assert reply.headers.get("connection") == "close" or reply.status == 400
        assert peer.closed_within(3.0)


def test_chunks_win_over_a_length(gateway: Gateway) -> None:
    """RFC 9112, 6.3: and the connection ends, so that nothing can be smuggled behind it."""
    with Peer(gateway.base_url) as peer:
        peer.send(chunked(GOOD, b"Content-Length: 5") + request(b"GET", b"/smuggled"))
        assert peer.reply().status in {200, 400}
        assert peer.closed_within(3.0)
    assert not [line for line in gateway.lines if line["path"] == "/smuggled"]


@pytest.mark.parametrize(
    ("lines", "ours"),
    [
        pytest.param((b"X-Large: " + b"a" * 65_536,), True, id="one-of-64-kb"),
        pytest.param(tuple(b"X-%d: %b" % (number, b"a" * 500) for number in range(90)), True, id="many"),
        pytest.param((b"X-Large: " + b"a" * 300_000,), False, id="one-of-300-kb"),
        pytest.param(tuple(b"X-%d: a" % number for number in range(5_000)), False, id="five-thousand"),
    ],
)
def test_large_headers(gateway: Gateway, lines: tuple[bytes, ...], ours: bool) -> None:
    """431; the HTTP server's own refusal has no body."""
    reply = post(gateway.base_url, CHAT, GOOD, *lines)
    assert reply.status == 431
    if ours:
        assert_problem(reply, 431, "too_large")


@pytest.mark.parametrize(
    "sent", [pytest.param(b"", id="nothing-of-it"), pytest.param(GOOD[:-3], id="nearly-all")]
)
@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(b"Content-Length: %d" % len(GOOD), id="by-length"),
        pytest.param(b"Transfer-Encoding: chunked", id="in-chunks"),
    ],
)
def test_an_unfinished_body(quick: Gateway, framing: bytes, sent: bytes) -> None:
    """408 after body_timeout_seconds, and the connection ends."""
    piece = b"%x\r\n%b\r\n" % (len(sent), sent) if framing.startswith(b"T") and sent else sent
    with Peer(quick.base_url) as peer:
        peer.send(request(b"POST", CHAT.encode(), b"Content-Type: application/json", framing) + piece)
        reply = peer.reply()
        assert_problem(reply, 408, "request_timeout")
        assert reply.headers["connection"] == "close"
        assert peer.closed_within(3.0)
    assert post(quick.base_url, CHAT, GOOD).status == 200


def test_a_body_that_trickles(quick: Gateway) -> None:
    """The clock is for the whole body: single bytes in time don't help."""
    began_at = time.monotonic()
    with Peer(quick.base_url) as peer:
        peer.send(
            request(b"POST", CHAT.encode(), b"Content-Type: application/json", b"Content-Length: 90000")
        )
        # Each ask takes a moment of its own, so this needs no sleeping.
        while time.monotonic() - began_at < 1.0:
            peer.send(b" ")
            get(quick.base_url, "/livez")
        assert_problem(peer.reply(), 408, "request_timeout")


def test_a_thousand_idle_connections(gateway: Gateway) -> None:
    """They cost nobody anything."""
    with ExitStack() as stack:
        for _ in range(1_000):
            stack.enter_context(Peer(gateway.base_url))
        assert post(gateway.base_url, CHAT, GOOD).status == 200
        assert get(gateway.base_url, "/readyz").status == 200


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/" + "a" * 20_000, id="very-long"),
        pytest.param("/%zz%ff%fe", id="broken-escapes"),
        pytest.param("/%00", id="nul"),
        pytest.param("/%0d%0aX-Evil:%201", id="line-ends"),
        pytest.param("/docs/..%2f..%2f..%2fetc%2fpasswd", id="upwards"),
        pytest.param("/docs/%2e%2e/service/__init__.py", id="upwards-escaped"),
        pytest.param("/" + "a/" * 5_000, id="many-parts"),
        pytest.param("/v1/models/nope", id="an-unknown-model"),
        pytest.param("/v1", id="half-a-route"),
        pytest.param("/v1/models/" + "x" * 20_000, id="a-very-long-model"),
    ],
)
def test_odd_paths(gateway: Gateway, path: str) -> None:
    reply = get(gateway.base_url, path)
    assert_problem(reply, 404, "model_not_found" if "/models/" in path else "not_found")
    assert "x-evil" not in reply.headers
    assert b"root:" not in reply.body


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("%zz", id="broken-escape"),
        pytest.param("&&==&%00", id="separators"),
        pytest.param("a=" + "b" * 20_000, id="very-long"),
        pytest.param("&".join(f"a{number}=1" for number in range(3_000)), id="many"),
    ],
)
@pytest.mark.parametrize(
    "path", [pytest.param("/readyz", id="readyz"), pytest.param("/v1/models", id="models")]
)
def test_odd_query_strings(gateway: Gateway, path: str, query: str) -> None:
    assert get(gateway.base_url, f"{path}?{query}").status == 200


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /livez\r\n\r\n", id="http-0.9"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="tls"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="http-2"),
        pytest.param(b"\r\n\r\n\0\0\0\r\n\r\n", id="zeros"),
        pytest.param(b"GET /livez HTTP/9.9\r\nHost: localhost\r\n\r\n", id="http-9.9"),
        pytest.param(b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n", id="a-broken-target"),
        pytest.param(b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n", id="a-space-in-the-target"),
    ],
)
def test_what_is_no_http(gateway: Gateway, data: bytes) -> None:
    """The connection ends, with a 4xx or without a word."""
    with Peer(gateway.base_url) as peer:
        peer.send(data)
        assert peer.closed_within(3.0)


def test_expect_continue(gateway: Gateway) -> None:
    """The interim answer comes before the body, the final one after it."""
    whole = request(b"POST", CHAT.encode(), b"Expect: 100-continue", body=GOOD)
    with Peer(gateway.base_url) as peer:
        peer.send(whole.removesuffix(GOOD))
        peer.send(GOOD)
        assert peer.reply().status == 200


def test_expect_continue_for_a_body_that_is_too_large(gateway: Gateway) -> None:
    """Refused before it is sent."""
    head = request(
        b"POST",
        CHAT.encode(),
        b"Content-Type: application/json",
        b"Content-Length: 20000000",
        b"Expect: 100-continue",
    )
    with Peer(gateway.base_url) as peer:
        peer.send(head)
        assert_problem(peer.reply(), 413, "too_large")


def test_http_1_0(gateway: Gateway) -> None:
    """Answered, and the connection ends."""
    with Peer(gateway.base_url) as peer:
        peer.send(request(body=GOOD).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert peer.reply().status == 200
        assert peer.closed_within(3.0)


def test_pipelined_requests(gateway: Gateway) -> None:
    """Answered in order, bad ones among them."""
    bad = request(body=b"{}")
    with Peer(gateway.base_url) as peer:
        peer.send(request(body=GOOD) + bad + request(b"GET", b"/livez") + request(body=GOOD))
        assert [peer.reply().status for _ in range(4)] == [200, 400, 200, 200]


def test_a_refused_body_does_not_poison_the_connection(gateway: Gateway) -> None:
    """What was refused before its body was read: the next request on the connection is its own."""
    with Peer(gateway.base_url) as peer:
        peer.send(request(body=GOOD, content_type=b"text/plain"))
        assert peer.reply().status == 415
        peer.send(request(b"GET", b"/livez"))
        assert peer.reply().status == 200
