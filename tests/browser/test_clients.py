"""Clients outside of browsers, behind a network that resets every connection after some bytes."""

from pathlib import Path

import httpx
import msgspec
import openai
import pytest

from tests.browser.events import EVENTS, SAID, Caller, Read
from tests.browser.network import Network
from tests.browser.node import Client
from tests.e2e.gateway import NO_TLS
from tests.fakes.behaviours import Answer
from tests.fakes.faults import ErrorEvent
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider

CUT_AFTER_BYTES = 2999
"""A head and some events, and then within one: with this every stream here takes several connections."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """The `eventsource` package for Node."""
    return Client(Path(tmp_path_factory.mktemp("node")))


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(Answer(said=SAID), id="an-answer"),
        pytest.param(ErrorEvent(after=18, said=SAID), id="an-error-in-the-middle"),
    ],
)
def test_eventsource_on_node(
    client: Client, caller: Caller, network: Network, up: FakeProvider, behaviour: Answer | ErrorEvent
) -> None:
    """The `eventsource` package reconnects until 204 tells it that there is no more."""
    up.script(behaviour)
    started = caller.start(network.origin)
    network.cut_after_bytes = CUT_AFTER_BYTES
    done = client.read(started["url"])
    assert done.returncode == 0, done.stderr
    whole = caller.whole(started["id"])
    lines = [msgspec.json.decode(line, type=tuple[str, str]) for line in done.stdout.splitlines()]
    assert lines == list(zip(whole.ids, whole.data, strict=True))
    assert network.connections > 3
    assert done.stderr.splitlines()[-1].startswith("204 ")


def test_httpx_resumes_by_last_event_id(caller: Caller, network: Network, up: FakeProvider) -> None:
    """Whoever keeps the last id can go on by a plain GET with the key; 204 says that all was read."""
    gate = Gate()
    up.script(Answer(said=SAID, gate=gate))
    gate.release(4)
    started = caller.start(network.origin)
    gate.open()
    network.cut_after_bytes = CUT_AFTER_BYTES
    url, read = f"{network.origin}/v1/streams/{started['id']}", Read()
    while resume(url, caller.headers, read):
        assert len(read.ids) <= EVENTS, read.ids
    assert network.connections > 3
    assert read == caller.whole(started["id"])
    assert read.text == SAID.text


def resume(url: str, headers: dict[str, str], read: Read) -> bool:
    """Read on from the last event until the connection breaks; False where there is nothing more."""
    position = {"Last-Event-ID": read.ids[-1]} if read.ids else {}
    received = b""
    try:
        with httpx.stream(
            "GET", url, headers={**headers, **position}, verify=NO_TLS, trust_env=False, timeout=20.0
        ) as answer:
            if answer.status_code == 204:
                return False
            assert answer.status_code == 200
            for piece in answer.iter_raw():
                received += piece
    except httpx.TransportError:
        pass
    read.take(received.rpartition(b"\n\n")[0].decode() + "\n\n" if received else "")
    return True


def test_the_openai_sdk_reads_a_stream_with_ids(caller: Caller, network: Network, up: FakeProvider) -> None:
    """The ids that every event has don't disturb it, and its stream can be read again by anyone of the key."""
    up.script(Answer(said=SAID))
    http = openai.DefaultHttpxClient(trust_env=False, verify=NO_TLS)
    with openai.OpenAI(
        base_url=f"{network.origin}/v1", api_key=caller.key, max_retries=0, http_client=http
    ) as sdk:
        messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
        raw = sdk.chat.completions.with_raw_response.create(model="m", messages=messages, stream=True)
        stream_id = raw.headers["x-stream-id"]
        chunks = list(raw.parse())
    whole = caller.whole(stream_id)
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == SAID.text
    assert whole.text == SAID.text
    assert len(whole.ids) == len(chunks) + 1 == EVENTS
