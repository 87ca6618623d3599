"""The configuration read again while the server runs: by SIGHUP, and by `POST /admin/reload`."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.admin import ADMIN_KEY, AUTH_TOML, Admin, as_key
from tests.e2e.gateway import NO_TLS, READY_SECONDS, Gateway, eventually, model_toml, provider_toml
from tests.e2e.raw import Peer, Reply, post
from tests.e2e.streaming import begin, held
from tests.fakes.provider import FakeProvider
from tests.fakes.redis_server import RedisServer

CHAT = "/v1/chat/completions"
KEY = {"UP_KEY": "sk-up", "OTHER_KEY": "sk-other"}
OPEN = f"{AUTH_TOML}required = false\n"


def config(up: FakeProvider, *models: str, more: str = OPEN) -> str:
    """Some models of one provider."""
    served = "".join(model_toml(name, "up/x") for name in models)
    return f"{more}\n{provider_toml('up', 'openai', up.base_url)}\n{served}"


@pytest.fixture
def gateway(tmp_path: Path, up: FakeProvider) -> Iterator[Gateway]:
    """One with the model `m`."""
    with Gateway(tmp_path) as made:
        made.start(config(up, "m"), KEY)
        yield made


def rewrite(gateway: Gateway, text: str) -> None:
    """Have it read another file."""
    gateway.config_path.write_text(text)
    gateway.send_signal(signal.SIGHUP)


def ask(gateway: Gateway, model: str, *lines: bytes) -> Reply:
    """A request for a whole answer."""
    body = b'{"model":"%b","messages":[{"role":"user","content":"Hi"}]}' % model.encode()
    return post(gateway.base_url, CHAT, body, *lines)


def reload(gateway: Gateway, key: str = ADMIN_KEY) -> httpx.Response:
    """Ask for it by the admin API."""
    return httpx.post(
        f"{gateway.origin}/admin/reload",
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
        verify=NO_TLS,
        timeout=20.0,
    )


def test_a_signal_brings_what_the_file_says_now(gateway: Gateway, up: FakeProvider) -> None:
    assert (ask(gateway, "m").status, ask(gateway, "new").status) == (200, 404)
    rewrite(gateway, config(up, "new"))
    line = gateway.wait_line(event="config.reloaded")
    assert (line["changed"], line["needs_restart"]) == (["models"], [])
    assert (ask(gateway, "m").status, ask(gateway, "new").status) == (404, 200)


@pytest.mark.parametrize(
    "text", [pytest.param("not toml at all [", id="syntax"), pytest.param("[server]\nprot = 1\n", id="key")]
)
def test_a_bad_file_is_refused_and_the_old_one_stays(gateway: Gateway, up: FakeProvider, text: str) -> None:
    rewrite(gateway, text)
    line = gateway.wait_line(event="config.refused")
    assert "gateway.toml" in str(line["mistakes"])
    assert ask(gateway, "m").status == 200
    refused = reload(gateway)
    assert refused.status_code == 400
    problem = refused.json()
    assert problem["error"]["code"] == "invalid_request"
    assert all("gateway.toml" in mistake["path"] for mistake in problem["errors"])
    assert "the old one stays" in problem["detail"]
    # And it isn't stuck with that.
    rewrite(gateway, config(up, "m", "new"))
    gateway.wait_line(event="config.reloaded")
    assert ask(gateway, "new").status == 200


def test_a_running_stream_is_untouched(gateway: Gateway, up: FakeProvider) -> None:
    """Though its model and its provider are gone by now, it goes on, and can be read again."""
    gate, answer = held()
    up.script(answer)
    with Peer(gateway.base_url) as peer:
        stream_id = begin(peer)
        gateway.config_path.write_text(f'{OPEN}[[providers]]\nname = "sim"\nkind = "sim"\n')
        assert reload(gateway).json() == {"changed": ["providers", "models"], "needs_restart": []}
        assert ask(gateway, "m").status == 404
        gate.open()
        whole = b"".join(peer.chunks())
    assert whole.endswith(b"data: [DONE]\n\n")
    again = httpx.get(f"{gateway.origin}/v1/streams/{stream_id}", trust_env=False, verify=NO_TLS)
    assert again.content == whole
    assert ask(gateway, "sim").status == 200


def test_what_is_read_at_the_start_only_is_named(gateway: Gateway, up: FakeProvider) -> None:
    """And the rest holds at once."""
    more = f"{OPEN}[server]\nmax_body_bytes = 50\n[streams]\nkeep_seconds = 1\n[limits.anonymous]\nrequests_per_minute = 5\n"
    gateway.config_path.write_text(config(up, "m", more=more))
    found = reload(gateway).json()
    assert found == {
        "changed": ["server.max_body_bytes", "limits.anonymous"],
        "needs_restart": ["streams.keep_seconds"],
    }
    assert ask(gateway, "m").status == 413
    assert reload(gateway).json() == {"changed": [], "needs_restart": ["streams.keep_seconds"]}


def test_limits_and_who_may_call(gateway: Gateway, up: FakeProvider) -> None:
    """Keys that are known already have the new defaults, and the admin key is another one."""
    admin = Admin(gateway)
    key = admin.make_key()
    admin.close()
    sent = b"Authorization: Bearer " + key["key"].encode()
    assert "x-ratelimit-limit-requests" not in ask(gateway, "m", sent).headers
    more = '[auth]\nadmin_key = "another"\n[limits.key]\nrequests_per_minute = 7\n'
    gateway.config_path.write_text(config(up, "m", more=more))
    assert reload(gateway).json()["changed"] == ["auth.required", "auth.admin_key", "limits.key"]
    assert ask(gateway, "m", sent).headers["x-ratelimit-limit-requests"] == "7"
    assert ask(gateway, "m").status == 401
    assert (reload(gateway).status_code, reload(gateway, "another").status_code) == (401, 200)
    assert "another" not in gateway.log


def test_only_administrators_may(gateway: Gateway) -> None:
    admin = Admin(gateway)
    key = as_key(admin.make_key())["Authorization"].removeprefix("Bearer ")
    admin.close()
    assert reload(gateway, key).status_code == 403


def test_an_unchanged_provider_keeps_its_connections(gateway: Gateway, up: FakeProvider) -> None:
    """A changed one gets others."""
    assert ask(gateway, "m").status == 200
    before = up.accepted
    gateway.config_path.write_text(config(up, "m", "n"))
    assert reload(gateway).status_code == 200
    assert ask(gateway, "n").status == 200
    assert up.accepted == before
    gateway.config_path.write_text(
        config(up, "n").replace('kind = "openai"', 'kind = "openai"\nstream_usage = false')
    )
    assert reload(gateway).status_code == 200
    assert ask(gateway, "n").status == 200
    assert up.accepted == before + 1


def test_all_workers_and_those_to_come(tmp_path: Path, up: FakeProvider) -> None:
    """One that takes a dead one's place begins with what the others have."""
    gateway = Gateway(tmp_path)

    def everywhere() -> bool | None:
        """Each request has a connection of its own, so each worker gets some."""
        answers = [ask(gateway, "new", b"Connection: close").status for _ in range(20)]
        return True if answers == [200] * 20 else None

    with RedisServer() as redis, gateway:
        shared = f'[server]\nworkers = 2\n[store]\nredis = "{redis.url}"\n'
        gateway.start(shared + config(up, "m"), KEY)
        gateway.config_path.write_text(shared + config(up, "new"))
        assert reload(gateway).json()["changed"] == ["models"]
        assert eventually(everywhere)
        gateway.wait_lines(3, event="config.reloaded")
        before = set(gateway.workers)
        os.kill(min(before), signal.SIGKILL)
        assert eventually(lambda: True if len(set(gateway.workers) - before) == 1 else None)
        assert eventually(everywhere, 20.0)


def test_a_signal_while_a_worker_begins_is_not_lost(tmp_path: Path, up: FakeProvider) -> None:
    """It has its settings by then, and hears no signals yet."""
    with Gateway(tmp_path) as gateway:
        gateway.start(config(up, "m"), KEY)
        before = gateway.workers
        os.kill(before[0], signal.SIGKILL)
        (begun,) = eventually(lambda: [pid for pid in gateway.workers if pid not in before] or None)
        eventually(lambda: True if holds_back_reloads(begun) or is_ready(gateway) else None)
        rewrite(gateway, config(up, "new"))
        assert gateway.wait_line(event="config.reloaded")["changed"] == ["models"]
        assert ask(gateway, "new").status == 200


def test_no_signal_ends_a_server_that_begins_or_ends(tmp_path: Path, up: FakeProvider) -> None:
    """A supervisor may ask for a reload whenever it likes."""
    with Gateway(tmp_path) as gateway:
        gateway.spawn(config(up, "m"), KEY)
        eventually(
            lambda: True if holds_back_reloads(gateway.pid) or is_ready(gateway) else None, READY_SECONDS
        )
        rewrite(gateway, config(up, "new"))
        eventually(lambda: True if is_ready(gateway) else None, READY_SECONDS)
        assert eventually(lambda: True if ask(gateway, "new").status == 200 else None)
        gateway.send_signal(signal.SIGTERM)

        def ended() -> bool | None:
            gateway.send_signal(signal.SIGHUP)
            assert gateway.process is not None
            return None if gateway.process.poll() is None else True

        assert eventually(ended)
        assert gateway.wait() == 0


def is_ready(gateway: Gateway) -> bool:
    """Whether it takes requests."""
    try:
        return httpx.get(f"{gateway.origin}/readyz", trust_env=False, verify=NO_TLS).is_success
    except httpx.TransportError:
        return False


def holds_back_reloads(pid: int) -> bool:
    """Whether SIGHUP waits until the process wants it."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(mask.split()[1], 16) >> (signal.SIGHUP - 1) & 1)
