"""`Idempotency-Key`: the same key and body, one call to a provider, whatever happens in between."""

import asyncio
import signal
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import msgspec
import pytest

from service.migrations import upgrade
from tests.e2e.admin import AUTH_TOML, Admin
from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import Gateway, eventually
from tests.e2e.raw import Peer, Reply, assert_problem, post, request
from tests.e2e.sdk import openai_client
from tests.fakes import faults
from tests.fakes.behaviours import Answer, Behaviour, Json, Status
from tests.fakes.gate import Gate
from tests.fakes.postgres_server import postgres_server
from tests.fakes.provider import FakeProvider
from tests.fakes.redis_server import RedisServer

CHAT = "/v1/chat/completions"
BODY = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
OTHER_BODY = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
CROWD = 100
CLOSED_SECONDS = 1.5
"""The contract says 0.5; two busy cores may be late."""

CONFIG = """
    {more}
    [retries]
    max_attempts = 1
    [[providers]]
    name = "up"
    kind = "openai"
    base_url = "{url}"
    [[models]]
    name = "m"
    targets = [{{ provider = "up", model = "x" }}]
    """

_numbers = count()


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    auth = AUTH_TOML + "required = false\n[server]\nmax_body_bytes = 20000\n"
    return start_gateway(CONFIG.format(more=auth, url=provider.base_url))


@pytest.fixture
def key() -> bytes:
    """A key that no test used before."""
    return b"test-key-%d" % next(_numbers)


def ask(gateway: Gateway, key: bytes, body: bytes = BODY, path: str = CHAT, *lines: bytes) -> Reply:
    """A request with this `Idempotency-Key`."""
    return post(gateway.base_url, path, body, b"Idempotency-Key: " + key, *lines)


def keyed(key: bytes, body: bytes = BODY) -> bytes:
    """The same as bytes."""
    return request(b"POST", CHAT.encode(), b"Idempotency-Key: " + key, body=body)


def assert_replay(first: Reply, again: Reply) -> None:
    """Status, headers and body of the first one; only what belongs to each request differs."""
    own = {"x-request-id", "idempotent-replayed", "date"}
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert (again.status, again.body) == (first.status, first.body)
    assert {name: value for name, value in again.headers.items() if name not in own} == {
        name: value for name, value in first.headers.items() if name not in own
    }


def test_a_crowd_makes_one_call(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    """A hundred identical requests at once: one upstream call, a hundred equal answers."""
    gate = Gate()
    up.script(Answer("All the same.", gate=gate))

    async def one(crowd: asyncio.Barrier) -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(
            request(b"POST", CHAT.encode(), b"Idempotency-Key: " + key, b"Connection: close", body=BODY)
        )
        await crowd.wait()
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return head, body

    async def all_of_them() -> list[tuple[bytes, bytes]]:
        sent = asyncio.Barrier(CROWD + 1)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            asked = [group.create_task(one(sent)) for _ in range(CROWD)]
            await sent.wait()
            gate.open()
        return [each.result() for each in asked]

    answers = asyncio.run(all_of_them())
    assert len(up.requests) == 1
    assert {body for _, body in answers} == {answers[0][1]}
    assert b"All the same." in answers[0][1]
    assert all(head.startswith(b"HTTP/1.1 200") for head, _ in answers)
    assert sum(b"idempotent-replayed: true" in head.lower() for head, _ in answers) == CROWD - 1


def test_an_answer_is_replayed(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    first = ask(gateway, key)
    assert_replay(first, ask(gateway, key))
    assert len(up.requests) == 1
    line = gateway.wait_line(outcome="replayed")
    assert (line["status"], line["path"]) == (200, CHAT)


@pytest.mark.parametrize(
    "end", [pytest.param(signal.SIGTERM, id="in-order"), pytest.param(signal.SIGKILL, id="killed")]
)
def test_a_restart_forgets_nothing(tmp_path: Path, up: FakeProvider, key: bytes, end: signal.Signals) -> None:
    """An answer that a client has read is kept, even if the server died in that very moment."""
    with Gateway(tmp_path) as gateway:
        config = CONFIG.format(more="", url=up.base_url)
        gateway.start(config)
        first = ask(gateway, key)
        gateway.send_signal(end)
        gateway.wait()
        gateway.start(config)
        assert_replay(first, ask(gateway, key))
    assert len(up.requests) == 1


def test_a_call_that_died_with_its_worker_is_made_anew(tmp_path: Path, up: FakeProvider, key: bytes) -> None:
    """Its claim is still there after the restart; nobody waits for it."""
    up.script(Answer(gate=Gate()))
    with Gateway(tmp_path) as gateway:
        config = CONFIG.format(more="", url=up.base_url)
        gateway.start(config)
        with Peer(gateway.base_url) as peer:
            peer.send(keyed(key))
            assert up.wait_requests(1)
            gateway.kill()
        gateway.start(config)
        answer = ask(gateway, key)
    assert (answer.status, "idempotent-replayed" in answer.headers) == (200, False)
    assert len(up.requests) == 2


def test_another_body_is_refused(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    """While the first call runs, and after it."""
    gate = Gate()
    up.script(Answer(gate=gate))
    with Peer(gateway.base_url) as peer:
        peer.send(keyed(key))
        assert up.wait_requests(1)
        assert_problem(ask(gateway, key, OTHER_BODY), 422, "idempotency_mismatch")
        gate.open()
        assert peer.reply().status == 200
    refusal = ask(gateway, key, OTHER_BODY)
    assert_problem(refusal, 422, "idempotency_mismatch")
    assert refusal.param == "Idempotency-Key"
    assert ask(gateway, key).status == 200
    assert len(up.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        pytest.param(Status(400), 400, id="the-provider's-400"),
        pytest.param(Status(404), 404, id="the-provider's-404"),
        pytest.param(Status(413), 413, id="the-provider's-413"),
        pytest.param(Status(422), 422, id="the-provider's-422"),
    ],
)
def test_refusals_of_the_request_itself_are_kept(
    gateway: Gateway, up: FakeProvider, key: bytes, behaviour: Behaviour, status: int
) -> None:
    up.script(behaviour)
    first = ask(gateway, key)
    assert first.status == status
    assert_replay(first, ask(gateway, key))
    assert len(up.requests) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b'{"model": "m"', 400, id="broken-json"),
        pytest.param(b'{"model": "m", "messages": []}', 400, id="no-messages"),
        pytest.param(BODY.replace(b'"m"', b'"none"'), 404, id="no-such-model"),
    ],
)
def test_our_own_refusals_are_kept_too(
    gateway: Gateway, up: FakeProvider, key: bytes, body: bytes, status: int
) -> None:
    first = ask(gateway, key, body)
    assert first.status == status
    assert_replay(first, ask(gateway, key, body))
    assert_problem(ask(gateway, key), 422, "idempotency_mismatch")
    assert not up.requests


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        pytest.param(Status(429, retry_after="30"), 429, id="the-provider's-limit"),
        pytest.param(Status(401), 502, id="credentials"),
        pytest.param(Status(500), 502, id="a-server-error"),
        pytest.param(Json(b"<html>"), 502, id="no-answer"),
    ],
)
def test_what_may_go_better_next_time_is_forgotten(
    gateway: Gateway, up: FakeProvider, key: bytes, behaviour: Behaviour, status: int
) -> None:
    """At once, and for another body too."""
    up.script(behaviour)
    assert ask(gateway, key).status == status
    answer = ask(gateway, key, OTHER_BODY)
    assert (answer.status, "idempotent-replayed" in answer.headers) == (200, False)
    assert len(up.requests) == 2


def refusal(gate: Gate, status: bytes = b"500 Oh") -> Behaviour:
    """A provider's error, once the gate lets it pass."""
    head = b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 2\r\n\r\n" % status
    return faults.RawBytes((head + b"{}",), gate)


def wait_until_it_waits(gateway: Gateway, key: bytes) -> None:
    """What was sent before has reached the key: one that comes after it was answered."""
    assert ask(gateway, key, OTHER_BODY).status == 422


def test_a_failed_call_is_taken_over_by_one_that_waits(
    gateway: Gateway, up: FakeProvider, key: bytes
) -> None:
    gate = Gate()
    up.script(refusal(gate), Answer("Better."))
    with Peer(gateway.base_url) as first, Peer(gateway.base_url) as second, Peer(gateway.base_url) as third:
        first.send(keyed(key))
        assert up.wait_requests(1)
        second.send(keyed(key))
        third.send(keyed(key))
        wait_until_it_waits(gateway, key)
        gate.open()
        assert first.reply().status == 502
        answers = [second.reply(), third.reply()]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body == answers[1].body
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 1
    assert len(up.requests) == 2


def test_the_first_client_may_leave_while_others_wait(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    """The call goes on, and all who waited get its answer."""
    gate = Gate()
    up.script(Answer("Still here.", gate=gate))
    line = b"X-Request-ID: left-" + key
    with Peer(gateway.base_url) as second:
        with Peer(gateway.base_url) as first:
            first.send(request(b"POST", CHAT.encode(), b"Idempotency-Key: " + key, line, body=BODY))
            assert up.wait_requests(1)
            second.send(keyed(key))
            wait_until_it_waits(gateway, key)
            first.reset()
        assert not up.wait_closed(0, timeout_seconds=CLOSED_SECONDS)
        gate.open()
        answer = second.reply()
    assert b"Still here." in answer.body
    assert gateway.wait_line(request_id=f"left-{key.decode()}")["outcome"] == "complete"
    assert_replay_of(answer, ask(gateway, key))
    assert len(up.requests) == 1


def test_the_first_client_may_leave_and_its_call_fail(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    """Nobody is there to be told; who waits makes the call anew."""
    gate = Gate()
    up.script(refusal(gate), Answer("Better."))
    line = b"X-Request-ID: failed-" + key
    with Peer(gateway.base_url) as second:
        with Peer(gateway.base_url) as first:
            first.send(request(b"POST", CHAT.encode(), b"Idempotency-Key: " + key, line, body=BODY))
            assert up.wait_requests(1)
            second.send(keyed(key))
            wait_until_it_waits(gateway, key)
            first.reset()
        assert not up.wait_closed(0, timeout_seconds=CLOSED_SECONDS)
        gate.open()
        answer = second.reply()
    assert (answer.status, b"Better." in answer.body) == (200, True), (answer.body, len(up.requests))
    assert gateway.wait_line(request_id=f"failed-{key.decode()}")["outcome"] == "upstream_error"
    assert "internal_error" not in gateway.log + gateway.stderr


def assert_replay_of(replayed: Reply, again: Reply) -> None:
    """The same answer as one that was itself a replay."""
    assert (again.status, again.body) == (replayed.status, replayed.body)
    assert again.headers["idempotent-replayed"] == "true"


def test_a_call_ends_with_the_last_that_leaves(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    """As ever, within 500 ms; then the key is free."""
    up.script(Answer(gate=Gate()))
    with Peer(gateway.base_url) as first, Peer(gateway.base_url) as second:
        first.send(keyed(key))
        assert up.wait_requests(1)
        second.send(keyed(key))
        wait_until_it_waits(gateway, key)
        first.reset()
        assert not up.wait_closed(0, timeout_seconds=CLOSED_SECONDS)
        second.reset()
        assert up.wait_closed(0, timeout_seconds=CLOSED_SECONDS)
    answer = ask(gateway, key, OTHER_BODY)
    assert (answer.status, "idempotent-replayed" in answer.headers) == (200, False)


def test_one_that_waits_may_leave(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    """The first client gets its answer."""
    gate = Gate()
    up.script(Answer(gate=gate))
    line = b"X-Request-ID: waits-" + key
    with Peer(gateway.base_url) as first:
        first.send(keyed(key))
        assert up.wait_requests(1)
        with Peer(gateway.base_url) as second:
            second.send(request(b"POST", CHAT.encode(), b"Idempotency-Key: " + key, line, body=BODY))
            wait_until_it_waits(gateway, key)
            second.reset()
        assert gateway.wait_line(request_id=f"waits-{key.decode()}")["outcome"] == "client_abort"
        gate.open()
        assert first.reply().status == 200
    assert len(up.requests) == 1


def test_a_key_belongs_to_its_caller_and_its_route(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    """Another caller's, another route's, and one sent nowhere below /v1 are others."""
    admin = Admin(gateway)
    callers = [b"Authorization: Bearer " + admin.make_key()["key"].encode() for _ in range(2)]
    admin.close()
    for caller in callers:
        assert "idempotent-replayed" not in ask(gateway, key, BODY, CHAT, caller).headers
        assert "idempotent-replayed" in ask(gateway, key, BODY, CHAT, caller).headers
    assert "idempotent-replayed" not in ask(gateway, key).headers
    body = msgspec.json.encode({"model": "m", "input": "Hi"})
    assert ask(gateway, key, body, "/v1/embeddings").status == 200
    simple = b'{"message": "Hi"}'
    for _ in range(2):
        assert "idempotent-replayed" not in ask(gateway, key, simple, "/chat").headers
    assert len(up.requests) == 6


def test_a_slash_at_the_end_is_the_same_route(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    first = ask(gateway, key, BODY, CHAT + "/")
    assert_replay(first, ask(gateway, key))
    assert len(up.requests) == 1


def test_quotes_are_not_part_of_a_key(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    first = ask(gateway, b'"' + key + b'"')
    assert_replay(first, ask(gateway, key))
    assert len(up.requests) == 1


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((b"Idempotency-Key: ",), id="empty"),
        pytest.param((b'Idempotency-Key: ""',), id="empty-in-quotes"),
        pytest.param((b"Idempotency-Key: " + b"k" * 256,), id="long"),
        pytest.param((b'Idempotency-Key: "k',), id="half-quoted"),
        pytest.param((b"Idempotency-Key: k\xe9",), id="not-ascii"),
        pytest.param((b"Idempotency-Key: a", b"Idempotency-Key: a"), id="twice"),
    ],
)
def test_malformed_keys(gateway: Gateway, up: FakeProvider, lines: tuple[bytes, ...]) -> None:
    answer = post(gateway.base_url, CHAT, BODY, *lines)
    assert_problem(answer, 400, "invalid_request")
    assert answer.param == "Idempotency-Key"
    assert not up.requests


def test_an_answer_larger_than_a_body_may_be_is_not_kept(
    gateway: Gateway, up: FakeProvider, key: bytes
) -> None:
    """Those that waited get it; whoever comes later makes the call anew."""
    gate = Gate()
    up.script(Answer("x" * 30_000, gate=gate))
    with Peer(gateway.base_url) as first, Peer(gateway.base_url) as second:
        first.send(keyed(key))
        assert up.wait_requests(1)
        second.send(keyed(key))
        wait_until_it_waits(gateway, key)
        gate.open()
        assert_replay(first.reply(), second.reply())
    assert "idempotent-replayed" not in ask(gateway, key).headers
    assert len(up.requests) == 2


def test_the_openai_client_sends_one(gateway: Gateway, up: FakeProvider, key: bytes) -> None:
    with openai_client(gateway) as client:
        said = [
            client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": "Hi"}],
                extra_headers={"Idempotency-Key": key.decode()},
            )
            for _ in range(2)
        ]
    assert said[0] == said[1]
    assert len(up.requests) == 1


def test_without_the_database_only_requests_with_a_key_are_refused(
    tmp_path: Path, up: FakeProvider, key: bytes
) -> None:
    """503; and what was kept is there when the database is back."""
    with postgres_server() as server, Gateway(tmp_path) as gateway:
        database = server.create_database()
        upgrade(database)
        more = f'[store]\ndatabase = "{database}"\n[auth]\nrequired = false\n'
        gateway.start(CONFIG.format(more=more, url=up.base_url))
        first = ask(gateway, key)
        server.stop()
        refused = ask(gateway, key)
        assert_problem_of_store(refused)
        assert post(gateway.base_url, CHAT, BODY).status == 200
        server.start()
        again = eventually(lambda: answer if (answer := ask(gateway, key)).status == 200 else None, 30)
    assert_replay(first, again)
    assert len(up.requests) == 2


def test_every_process_has_the_answers_of_all(tmp_path: Path, up: FakeProvider, key: bytes) -> None:
    """Two that share their stores: what one answered the other replays, and while one is at it the other isn't."""
    gate = Gate()
    up.script(Answer("Once.", gate=gate))
    with RedisServer() as redis, postgres_server() as server, ExitStack() as stack:
        database = server.create_database()
        upgrade(database)
        more = f'[store]\ndatabase = "{database}"\nredis = "{redis.url}"\n[auth]\nrequired = false\n'
        gateways = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            gateways.append(stack.enter_context(Gateway(tmp_path / name)))
            gateways[-1].start(CONFIG.format(more=more, url=up.base_url))
        one, two = gateways
        with Peer(one.base_url) as peer:
            peer.send(keyed(key))
            assert up.wait_requests(1)
            assert_problem(ask(two, key, OTHER_BODY), 422, "idempotency_mismatch")
            gate.open()
            first = peer.reply()
        assert_replay(first, ask(two, key))
    assert len(up.requests) == 1


def test_a_stream_that_begins_in_another_process_is_joined(
    tmp_path: Path, up: FakeProvider, key: bytes
) -> None:
    """By one that waited for its beginning: one call, the same bytes."""
    beginning, events = Gate(), Gate()
    up.script(Answer("Once.", head_gate=beginning, gate=events))
    stream = BODY.replace(b"{", b'{"stream":true,', 1)
    database = f"sqlite:///{tmp_path / 'shared.db'}"
    upgrade(database)
    with RedisServer() as redis, ExitStack() as stack:
        more = f'[store]\ndatabase = "{database}"\nredis = "{redis.url}"\n[auth]\nrequired = false\n'
        gateways = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            gateways.append(stack.enter_context(Gateway(tmp_path / name)))
            gateways[-1].start(CONFIG.format(more=more, url=up.base_url))
        one, two = gateways
        with Peer(one.base_url) as first, Peer(two.base_url) as second:
            first.send(keyed(key, stream))
            assert up.wait_requests(1)
            second.send(keyed(key, stream))
            # It is refused at once, though the one before it waits.
            wait_until_it_waits(two, key)
            beginning.open()
            events.release(1)
            head, again = first.head(), second.head()
            events.open()
            got, got_again = b"".join(first.chunks()), b"".join(second.chunks())
    assert (again[0], again[1]["x-stream-id"]) == (200, head[1]["x-stream-id"])
    assert again[1]["idempotent-replayed"] == "true"
    assert got == got_again
    assert len(up.requests) == 1


def assert_problem_of_store(reply: Reply) -> None:
    """The contract's 503."""
    assert (reply.status, reply.code) == (503, "store_unavailable")
    assert int(reply.headers["retry-after"]) > 0
