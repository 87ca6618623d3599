"""A running gateway given by its URL: loopback only, and only where the mock provider is behind it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from benchmarks.lab.processes import free_port
from benchmarks.lab.subjects import PLAIN, Inapplicable, Subject, Unavailable, Variant
from benchmarks.peers.url import Url, parse_address


@pytest.mark.parametrize(
    ("address", "port", "base_path"),
    [
        pytest.param("http://127.0.0.1:8080/v1", 8080, "/v1", id="as-clients-are-given-it"),
        pytest.param("http://localhost:80/openai/v1/", 80, "/openai/v1", id="a-slash-at-its-end"),
        pytest.param("http://127.0.0.1:8080", 8080, "", id="no-path"),
    ],
)
def test_addresses(address: str, port: int, base_path: str) -> None:
    assert parse_address(address) == (port, base_path)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        pytest.param("http://192.168.1.7:8080/v1", "never to another machine", id="another-machine"),
        pytest.param("http://example.com:8080/v1", "never to another machine", id="a-name"),
        pytest.param("http://127.0.0.1.example.com:80/v1", "never to another machine", id="a-name-like-it"),
        pytest.param("http://127.0.0.1:1@example.com:80/", "never to another machine", id="a-user-like-it"),
        pytest.param("http://[::1]:8080/v1", "never to another machine", id="ipv6"),
        pytest.param("https://127.0.0.1:8080/v1", "http://127.0.0.1 only", id="tls"),
        pytest.param("127.0.0.1:8080", "http://127.0.0.1 only", id="no-scheme"),
        pytest.param("http://127.0.0.1/v1", "as http://127.0.0.1:PORT/v1", id="no-port"),
        pytest.param("http://me:secret@127.0.0.1:80/v1", "as http://127.0.0.1:PORT/v1", id="a-user"),
        pytest.param("http://127.0.0.1:80/v1?key=1", "as http://127.0.0.1:PORT/v1", id="a-query"),
        pytest.param("http://127.0.0.1:99999/v1", "is no URL", id="a-port-that-is-none"),
        pytest.param("http://[::1", "is no URL", id="half-an-address"),
    ],
)
def test_other_addresses_are_refused(address: str, message: str) -> None:
    with pytest.raises(Unavailable, match=message):
        Url(address)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("a\r\nx: y", id="a-line-break"),
        pytest.param("a b", id="a-space"),
        pytest.param("schlüssel", id="not-ascii"),
        pytest.param("", id="empty"),
    ],
)
def test_keys_that_fit_no_header(key: str) -> None:
    with pytest.raises(Unavailable, match="printable ASCII"):
        Url("http://127.0.0.1:80/v1", api_key=key)


class AGateway(BaseHTTPRequestHandler):
    """Answers its one path with three events whose texts are numbers, in an order that the test chooses."""

    server: "AServer"

    def do_POST(self) -> None:
        """Note the request; give the one answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers.get("Authorization"), msgspec.json.decode(body)))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


class AServer(ThreadingHTTPServer):
    """A gateway that gives one answer, and notes who asked what."""

    def __init__(self, status: int, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), AGateway)
        self.status = status
        self.answer = answer
        self.asked: list[tuple[str, str | None, dict[str, object]]] = []


@contextmanager
def a_gateway(answer: bytes, status: int = 200) -> Iterator[AServer]:
    with AServer(status, answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class ALab:
    """A launcher that launches nothing: the gateway is there already."""

    upstream_port = 9000

    def launch(
        self,
        name: str,
        command: list[str],
        port: int,
        ready_path: str | None,
        environment: dict[str, str] | None = None,
    ) -> Subject:
        """Nothing is to be launched."""
        raise AssertionError(name)

    def write(self, name: str, text: str) -> str:
        """Nothing is to be written."""
        raise AssertionError(name)

    def redis_url(self) -> str:
        """No Redis is to be asked for."""
        raise AssertionError


RIGHT = b'data: {"content":"000000 "}\n\ndata: {"content":"000001 "}\n\ndata: {"content":"000002 "}\n\n'


def test_a_running_gateway_is_measured_as_it_is() -> None:
    """Its path, model and key are used; it is not ours to stop, and here it is in our own process."""
    with a_gateway(RIGHT) as server:
        port = server.server_address[1]
        way = Url(f"http://localhost:{port}/openai/v1", "other", "water", "sk-1")
        assert way.start(ALab(), PLAIN) == Subject(
            name="other",
            port=port,
            base_path="/openai/v1",
            headers="authorization: Bearer sk-1\r\n",
            model="water",
        )
    [(path, authorization, body)] = server.asked
    assert (path, authorization, body["model"]) == ("/openai/v1/chat/completions", "Bearer sk-1", "water")


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        pytest.param(b"data: Yes.\n\n", 200, "the answer isn't a mock provider's", id="someone-else-answers"),
        pytest.param(b"no such model", 404, "it answers 404: no such model", id="it-refuses"),
    ],
)
def test_no_load_goes_where_the_mock_provider_is_not(answer: bytes, status: int, message: str) -> None:
    with a_gateway(answer, status) as server, pytest.raises(Unavailable) as refused:
        Url(f"http://127.0.0.1:{server.server_address[1]}/v1").start(ALab(), PLAIN)
    assert message in str(refused.value)
    assert "'bench' must lead to a mock provider; `just bench upstream` starts one" in str(refused.value)


def test_several_can_be_told_apart() -> None:
    """Without a name it goes by its host and port."""
    ways = [
        Url("http://localhost:81/v1"),
        Url("http://localhost:82/v1"),
        Url("http://localhost:83/v1", "mine"),
    ]
    assert [way.name for way in ways] == ["127.0.0.1:81", "127.0.0.1:82", "mine"]


def test_nobody_is_there() -> None:
    """It is said, with the reason."""
    with pytest.raises(Unavailable, match=r"no answer .*refused"):
        Url(f"http://127.0.0.1:{free_port()}/v1").start(ALab(), PLAIN)


def test_it_has_no_variants() -> None:
    """Nobody asks it to be otherwise."""
    with pytest.raises(Inapplicable):
        Url("http://127.0.0.1:80/v1").start(ALab(), Variant("guarded"))
