"""Several workers on one Redis and one PostgreSQL: exact together, and alive while a store is away."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from service.migrations import upgrade
from tests.e2e.admin import AUTH_TOML, Admin, as_key
from tests.e2e.gateway import NO_TLS, Gateway, eventually
from tests.e2e.raw import crowd, request
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer
from tests.fakes.postgres_server import PostgresServer, postgres_server
from tests.fakes.provider import FakeProvider
from tests.fakes.redis_server import RedisServer

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi there"}]}

DEAREST_NANO_USD = 16 * 1000 + 100 * 2000
"""8 bytes and 8 for the message at 1 USD, 100 tokens at 2 USD per million."""

RECOVERY_SECONDS = 30.0


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis of this module's own: tests stop it."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of this module's own, for the same reason."""
    with postgres_server() as server:
        yield server


def config(up: FakeProvider, redis: RedisServer, database: str, workers: int = 2) -> str:
    """One model with a price at one provider, shared stores."""
    return f"""
        [server]
        workers = {workers}
        [store]
        database = "{database}"
        redis = "{redis.url}"
        {AUTH_TOML}
        [retries]
        max_attempts = 1
        [[providers]]
        name = "up"
        kind = "openai"
        base_url = "{up.base_url}"
        [[models]]
        name = "m"
        targets = [{{ provider = "up", model = "x" }}]
        max_output_tokens = 100
        price = {{ input = 1.0, output = 2.0 }}
        """


def statuses(gateways: list[Gateway], made: dict[str, Any], count: int) -> list[int]:
    """The statuses of `count` requests at once, spread over the gateways; 0 for a connection that broke."""
    lines = (b"Authorization: Bearer " + made["key"].encode(), b"Connection: close")
    asked = request(b"POST", CHAT.encode(), *lines, body=msgspec.json.encode(BODY))
    ports = [gateways[number % len(gateways)].port for number in range(count)]
    return asyncio.run(crowd((port, asked) for port in ports))


def ask(gateway: Gateway, made: dict[str, Any]) -> httpx.Response:
    """One request."""
    return httpx.post(
        gateway.origin + CHAT, json=BODY, headers=as_key(made), trust_env=False, verify=NO_TLS, timeout=20
    )


def spent_nano_usd(rows: list[dict[str, Any]]) -> int:
    """What rows of the ledger cost together."""
    return sum(round(row["cost_usd"] * 1e9) for row in rows)


def remaining_usd(admin: Admin, key_id: str) -> float:
    """What is left of a key's only budget, as the limits count it."""
    answer = admin.http.get("/admin/limits", params={"key": key_id})
    assert answer.status_code == 200, answer.text
    [meter] = [each for each in answer.json()["data"] if each["kind"] == "usd"]
    left: float = meter["remaining"]
    return left


def test_two_machines_of_two_workers_share_one_budget(
    tmp_path: Path, up: FakeProvider, redis: RedisServer, postgres: PostgresServer
) -> None:
    """A cap of ten times the dearest call admits ten at most, wherever they come in."""
    database = postgres.create_database()
    upgrade(database)
    up.default = Answer(said=Said("x", input_tokens=16, output_tokens=100))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Gateway(tmp_path / "a") as one, Gateway(tmp_path / "b") as other:
        one.start(config(up, redis, database))
        other.start(config(up, redis, database))
        admin = Admin(one)
        made = admin.make_key(budgets=[{"usd": 10 * DEAREST_NANO_USD / 1e9, "per": "total"}])
        found = statuses([one, other], made, 400)
        assert set(found) <= {200, 429}
        assert found.count(200) == 10
        rows = admin.wait_rows(10, key=made["id"])
        assert spent_nano_usd(rows) == 10 * DEAREST_NANO_USD
        eventually(lambda: True if remaining_usd(admin, made["id"]) == 0 else None, RECOVERY_SECONDS)
        assert admin.http.delete(f"/admin/keys/{made['id']}").status_code == 204
        gone = eventually(lambda: True if ask(other, made).status_code == 401 else None, 3.0)
        assert gone
        admin.close()


def test_a_machine_that_dies_leaves_the_books_right(
    tmp_path: Path, up: FakeProvider, redis: RedisServer, postgres: PostgresServer
) -> None:
    """kill -9 in the middle of a storm: afterwards the counter is the sum of the ledger, to the nano-dollar."""
    database = postgres.create_database()
    upgrade(database)
    up.default = Answer(said=Said("x", input_tokens=16, output_tokens=50), interval_seconds=0.0)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    cap = 500 * DEAREST_NANO_USD
    with Gateway(tmp_path / "a") as one, Gateway(tmp_path / "b") as other:
        one.start(config(up, redis, database))
        other.start(config(up, redis, database))
        admin = Admin(one)
        made = admin.make_key(budgets=[{"usd": cap / 1e9, "per": "total"}])
        assert statuses([one, other], made, 60).count(200) == 60

        async def storm_and_kill() -> None:
            storm = asyncio.to_thread(statuses, [one, other], made, 300)
            task = asyncio.ensure_future(storm)
            up.wait_requests(150)
            os.killpg(other.pid, signal.SIGKILL)
            await task

        asyncio.run(storm_and_kill())
        other.wait()
        # Its journal is on its own disk: what it says is known when the machine is back.
        other.start(other.config_path.read_text())

        def settled() -> bool | None:
            spent = spent_nano_usd(admin.rows(key=made["id"]))
            left = round(remaining_usd(admin, made["id"]) * 1e9)
            return True if cap - left == spent else None

        eventually(settled, RECOVERY_SECONDS)
        rows = admin.rows(key=made["id"])
        assert spent_nano_usd(rows) <= cap
        assert len({row["id"] for row in rows}) == len(rows)
        admin.close()


def test_redis_goes_away_and_comes_back_empty(
    tmp_path: Path, up: FakeProvider, redis: RedisServer, postgres: PostgresServer
) -> None:
    """Rates go on by local shares, budgets answer 503; then all is counted as if nothing had happened."""
    database = postgres.create_database()
    upgrade(database)
    up.default = Answer(said=Said("x", input_tokens=16, output_tokens=100))
    with Gateway(tmp_path) as gateway:
        gateway.start(config(up, redis, database))
        admin = Admin(gateway)
        plain = admin.make_key(limits={"requests_per_minute": 6000})
        bounded = admin.make_key(budgets=[{"usd": 5 * DEAREST_NANO_USD / 1e9, "per": "total"}])
        assert [ask(gateway, bounded).status_code for _ in range(3)] == [200, 200, 200]
        admin.wait_rows(3, key=bounded["id"])
        redis.stop()
        away = eventually(
            lambda: found if (found := ask(gateway, bounded)).status_code == 503 else None, 10.0
        )
        assert away.json()["error"]["code"] == "store_unavailable" and "retry-after" in away.headers
        assert ask(gateway, plain).status_code == 200
        assert gateway.log.count("limits.redis_away") <= 2
        redis.start()
        eventually(lambda: True if ask(gateway, plain).status_code == 200 else None)

        def counted() -> bool | None:
            return True if ask(gateway, bounded).status_code != 503 else None

        eventually(counted, RECOVERY_SECONDS)
        while ask(gateway, bounded).status_code == 200:
            pass
        rows = eventually(lambda: found if len(found := admin.rows(key=bounded["id"])) >= 5 else None, 10.0)
        assert len(rows) == 5
        admin.close()


def test_the_database_goes_away_for_a_while(
    tmp_path: Path, up: FakeProvider, redis: RedisServer, postgres: PostgresServer
) -> None:
    """Known keys go on, unknown ones get 503 and never 401, readiness says so, and no row is lost."""
    database = postgres.create_database()
    upgrade(database)
    up.default = Answer(said=Said("x", input_tokens=16, output_tokens=100))
    with Gateway(tmp_path) as gateway:
        gateway.start(config(up, redis, database, workers=1))
        admin = Admin(gateway)
        known, unseen = admin.make_key(), admin.make_key()
        assert ask(gateway, known).status_code == 200
        postgres.stop()
        try:
            unready = f"{gateway.origin}/readyz"
            assert [ask(gateway, known).status_code for _ in range(20)] == [200] * 20
            stranger = ask(gateway, unseen)
            assert (stranger.status_code, stranger.json()["error"]["code"]) == (503, "store_unavailable")
            eventually(
                lambda: (
                    True if httpx.get(unready, trust_env=False, verify=NO_TLS).status_code == 503 else None
                ),
                15.0,
            )
        finally:
            postgres.start()
        eventually(
            lambda: True if httpx.get(unready, trust_env=False, verify=NO_TLS).status_code == 200 else None,
            30.0,
        )
        assert ask(gateway, unseen).status_code == 200
        rows = eventually(lambda: found if len(found := admin.rows()) >= 22 else None, 20.0)
        assert len(rows) == 22
        admin.close()
