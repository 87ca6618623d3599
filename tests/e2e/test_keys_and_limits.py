"""Keys, limits and budgets as a client and an operator meet them."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anthropic
import httpx
import msgspec
import openai
import pytest

from tests.e2e.admin import ADMIN_KEY, AUTH_TOML, Admin, as_key
from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, STATE, Gateway, eventually
from tests.e2e.raw import Peer, crowd, request
from tests.fakes.answers import DONE, Said
from tests.fakes.behaviours import Answer
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider

CHAT = "/v1/chat/completions"

CONFIG = """
    {auth}
    {more}
    [[providers]]
    name = "up"
    kind = "openai"
    base_url = "{url}"
    [[models]]
    name = "m"
    targets = [{{ provider = "up", model = "x" }}]
    max_output_tokens = 100
    price = {{ input = 1.0, output = 2.0 }}
    [[models]]
    name = "other"
    targets = [{{ provider = "up", model = "x" }}]
    """

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi there"}]}


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    return start_gateway(CONFIG.format(auth=AUTH_TOML, url=provider.base_url, more=""))


@pytest.fixture
def admin(gateway: Gateway) -> Iterator[Admin]:
    """The administrator of the module's gateway."""
    made = Admin(gateway)
    yield made
    made.close()


def ask(
    gateway: Gateway, headers: dict[str, str] | None = None, path: str = CHAT, **body: object
) -> httpx.Response:
    """One request, as the holder of a key."""
    return httpx.post(
        gateway.origin + path, json=BODY | body, headers=headers, trust_env=False, verify=NO_TLS, timeout=20
    )


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and `error.code`."""
    return answer.status_code, answer.json()["error"]["code"]


def test_a_server_is_open_until_its_first_key(tmp_path: Path, up: FakeProvider) -> None:
    """And never again after, not even when the only key was revoked and the server restarted."""
    with Gateway(tmp_path) as gateway:
        gateway.start(CONFIG.format(auth=AUTH_TOML, url=up.base_url, more=""))
        assert ask(gateway).status_code == 200
        assert ask(gateway, {"Authorization": "Bearer anything"}).status_code == 200
        assert httpx.get(f"{gateway.origin}/admin/keys", trust_env=False, verify=NO_TLS).status_code == 403
        admin = Admin(gateway)
        made = admin.make_key()
        assert code(ask(gateway)) == (401, "invalid_api_key")
        assert ask(gateway).headers["www-authenticate"] == "Bearer"
        assert code(ask(gateway, {"Authorization": "Bearer anything"})) == (401, "invalid_api_key")
        assert ask(gateway, as_key(made)).status_code == 200
        assert ask(gateway, {"x-api-key": made["key"]}).status_code == 200
        assert admin.http.delete(f"/admin/keys/{made['id']}").status_code == 204
        assert code(ask(gateway, as_key(made))) == (401, "invalid_api_key")
        admin.close()
        gateway.stop()
        gateway.start(gateway.config_path.read_text())
        assert code(ask(gateway)) == (401, "invalid_api_key")


def test_order_of_the_checks(gateway: Gateway, admin: Admin) -> None:
    """Route, method, key, content type, body, model, permission, limits."""
    made = admin.make_key(models=["m"], scopes=["chat"])
    http = httpx.Client(base_url=gateway.origin, trust_env=False, verify=NO_TLS)
    assert http.post("/nowhere").status_code == 404
    assert http.put(CHAT).status_code == 405
    assert code(http.post(CHAT, content=b"x" * 20)) == (401, "invalid_api_key")
    keyed = as_key(made)
    assert code(http.post(CHAT, content=b"x", headers=keyed)) == (415, "unsupported_media_type")
    assert code(http.post(CHAT, json={"model": "m"}, headers=keyed)) == (400, "invalid_request")
    assert code(ask(gateway, keyed, model="nobody")) == (404, "model_not_found")
    assert code(ask(gateway, keyed, model="other")) == (403, "permission_denied")
    embed = http.post("/v1/embeddings", json={"model": "m", "input": "x"}, headers=keyed)
    assert code(embed) == (403, "permission_denied")
    assert code(http.get("/admin/keys", headers=keyed)) == (403, "permission_denied")
    listed = http.get("/v1/models", headers=keyed).json()["data"]
    assert [card["id"] for card in listed] == ["m"]
    http.close()


def test_the_vendors_clients_with_a_key(gateway: Gateway, admin: Admin, up: FakeProvider) -> None:
    """Both read our errors as their own."""
    made = admin.make_key(limits={"requests_per_minute": 1})
    client = openai.OpenAI(
        base_url=gateway.openai_url,
        api_key=made["key"],
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False, verify=NO_TLS),
    )
    raw = client.chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": "x"}]
    )
    assert raw.headers["x-ratelimit-limit-requests"] == "1"
    assert raw.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "rate_limit_exceeded"
    assert 50 <= int(caught.value.response.headers["retry-after"]) <= 60
    client.close()
    other = anthropic.Anthropic(
        base_url=gateway.origin,
        api_key="psk_no",
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(trust_env=False, verify=NO_TLS),
    )
    with pytest.raises(anthropic.AuthenticationError):
        other.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "x"}])
    other.close()


def test_who_waits_retry_after_succeeds(gateway: Gateway, admin: Admin) -> None:
    """Sixty a minute are one each second; the burst is two."""
    keyed = as_key(admin.make_key(limits={"requests_per_minute": 60, "burst": 2}))
    answers = [ask(gateway, keyed) for _ in range(3)]
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    refused = answers[2]
    if refused.status_code == 200:
        pytest.fail("three requests took more than a second; the machine is too slow for this test")
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit-policy"] == '"key-requests";q=2;w=2'
    time.sleep(1.0)
    assert ask(gateway, keyed).status_code == 200


def test_concurrency(gateway: Gateway, admin: Admin, up: FakeProvider) -> None:
    """A slot is free again when its request ends, not before."""
    keyed = as_key(admin.make_key(limits={"concurrent_requests": 1}))
    gate = Gate()
    up.script(Answer(said=Said("one two"), gate=gate), Answer())
    gate.release(3)
    line = f"Authorization: {keyed['Authorization']}".encode()
    with Peer(gateway.origin) as running:
        running.send(request(b"POST", CHAT.encode(), line, body=msgspec.json.encode(BODY | {"stream": True})))
        assert running.head()[0] == 200
        running.body_until(b"one")
        refused = ask(gateway, keyed)
        assert code(refused) == (429, "rate_limit_exceeded") and refused.headers["retry-after"] == "1"
        gate.open()
        assert b"".join(running.chunks()).endswith(DONE)
    eventually(lambda: True if ask(gateway, keyed).status_code == 200 else None)


def test_a_budget_in_tokens_cuts_a_stream_that_outgrows_it(
    gateway: Gateway, admin: Admin, up: FakeProvider
) -> None:
    """A provider that ignores the maximum; the end is an error event, never [DONE], and the row says so."""
    made = admin.make_key(budgets=[{"tokens": 40, "per": "total"}])
    up.script(Answer(said=Said(" ".join(f"w{n}" for n in range(500))), interval_seconds=0.001))
    answer = ask(gateway, as_key(made) | {"X-Request-ID": "outgrown"}, stream=True, max_tokens=10)
    assert answer.status_code == 200
    assert '"code":"budget_exceeded"' in answer.text and "[DONE]" not in answer.text
    [row] = admin.wait_rows(1, request_id="outgrown")
    assert row["outcome"] == "budget_cut"
    assert row["input_tokens"] + row["output_tokens"] <= 40
    sent = up.requests[-1].json
    assert sent["max_tokens"] == 10
    after = ask(gateway, as_key(made), max_tokens=10)
    assert code(after) == (429, "budget_exceeded") and "retry-after" not in after.headers


def test_a_budget_counts_what_was_spent_while_it_was_not_set(
    gateway: Gateway, admin: Admin, up: FakeProvider
) -> None:
    """It is taken away and set again, and a stream runs on from before its first setting."""
    made = admin.make_key()
    keyed, place = as_key(made), f"/admin/keys/{made['id']}"
    gate = Gate()

    def spend(tokens: int) -> None:
        up.script(Answer(said=Said("x", input_tokens=tokens - 10, output_tokens=10)))
        assert ask(gateway, keyed, max_tokens=10).status_code == 200

    def budgets(*budgets: dict[str, object]) -> None:
        assert admin.http.patch(place, json={"budgets": budgets}).status_code == 200

    def used() -> int:
        [meter] = admin.http.get("/admin/limits", params={"key": made["id"]}).json()["data"]
        found: int = meter["used"]
        return found

    spend(100)
    up.script(Answer(said=Said("one two", input_tokens=20_000, output_tokens=10), gate=gate))
    gate.release(3)
    line = f"Authorization: {keyed['Authorization']}".encode()
    with Peer(gateway.origin) as running:
        running.send(request(b"POST", CHAT.encode(), line, body=msgspec.json.encode(BODY | {"stream": True})))
        assert running.head()[0] == 200
        running.body_until(b"one")
        budgets({"tokens": 100_000, "per": "total"})
        spend(200)
        assert used() == 300
        budgets()
        spend(1000)
        budgets({"tokens": 100_000, "per": "total"})
        assert used() == 1300
        gate.open()
        assert b"".join(running.chunks()).endswith(DONE)
    eventually(lambda: True if used() == 21_310 else None)
    budgets({"tokens": 21_310, "per": "total"})
    assert code(ask(gateway, keyed, max_tokens=1)) == (429, "budget_exceeded")
    rows = admin.wait_rows(4, key=made["id"])
    assert sum(row["input_tokens"] + row["output_tokens"] for row in rows) == 21_310


def test_a_clock_set_back_before_a_restart_hides_nothing_spent(tmp_path: Path, up: FakeProvider) -> None:
    """Here the rows go an hour ahead instead."""
    up.default = Answer(said=Said("x", input_tokens=90, output_tokens=10))
    with Gateway(tmp_path) as gateway:
        gateway.start(CONFIG.format(auth=AUTH_TOML, url=up.base_url, more=""))
        admin = Admin(gateway)
        made = admin.make_key(budgets=[{"tokens": 1000, "per": "total"}])
        assert ask(gateway, as_key(made), max_tokens=10).status_code == 200
        admin.wait_rows(1, key=made["id"])
        admin.close()
        gateway.stop()
        with closing(sqlite3.connect(tmp_path / STATE)) as database, database:
            database.execute(
                "UPDATE ledger SET started_at = started_at + 3600, finished_at = finished_at + 3600"
            )
        gateway.start(gateway.config_path.read_text())
        admin = Admin(gateway)
        assert ask(gateway, as_key(made), max_tokens=10).status_code == 200
        [meter] = admin.http.get("/admin/limits", params={"key": made["id"]}).json()["data"]
        assert meter["used"] == 200
        admin.close()


def test_a_maximum_is_sent_where_a_budget_needs_one(gateway: Gateway, admin: Admin, up: FakeProvider) -> None:
    """The model's own; without a budget the caller's body goes on as it is."""
    plain = admin.make_key()
    bounded = admin.make_key(budgets=[{"usd": 1, "per": "day"}])
    assert ask(gateway, as_key(plain)).status_code == 200
    assert "max_tokens" not in up.requests[-1].json
    assert ask(gateway, as_key(bounded)).status_code == 200
    assert up.requests[-1].json["max_tokens"] == 100


def test_a_budget_of_money_needs_a_price(gateway: Gateway, admin: Admin) -> None:
    """A bound can't be had without one, and to let it pass would overspend."""
    made = admin.make_key(budgets=[{"usd": 1, "per": "day"}])
    answer = ask(gateway, as_key(made), model="other")
    assert code(answer) == (403, "permission_denied")


def test_a_thousand_at_once_never_overspend(gateway: Gateway, admin: Admin, up: FakeProvider) -> None:
    """A cap of ten times the dearest call admits ten at most, and what was settled stays below it."""
    # 8 bytes + 8 for the message at 1 USD, 100 tokens at 2 USD per million.
    dearest_nano_usd = 16 * 1000 + 100 * 2000
    made = admin.make_key(budgets=[{"usd": 10 * dearest_nano_usd / 1e9, "per": "total"}])
    up.default = Answer(said=Said("x", input_tokens=16, output_tokens=100), interval_seconds=0.0)

    lines = (b"Authorization: Bearer " + made["key"].encode(), b"Connection: close")
    asked = request(b"POST", CHAT.encode(), *lines, body=msgspec.json.encode(BODY))
    statuses = asyncio.run(crowd([(gateway.port, asked)] * 1000))
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) == 10
    rows = admin.wait_rows(10, key=made["id"])
    assert len(rows) == 10
    assert round(sum(row["cost_usd"] for row in rows) * 1e9) == 10 * dearest_nano_usd


def test_usage_of_ones_own(gateway: Gateway, admin: Admin, up: FakeProvider) -> None:
    """A key sees its own rows only; the administrator all; CSV where asked for."""
    made = admin.make_key(tenant="acme", user="ann")
    up.script(Answer(said=Said("x", input_tokens=5, output_tokens=2)))
    assert ask(gateway, as_key(made)).status_code == 200
    admin.wait_rows(1, key=made["id"])
    mine = httpx.get(
        f"{gateway.origin}/v1/usage", headers=as_key(made), trust_env=False, verify=NO_TLS
    ).json()
    assert mine["object"] == "usage"
    assert (mine["total"]["requests"], mine["total"]["input_tokens"], mine["total"]["output_tokens"]) == (
        1,
        5,
        2,
    )
    assert mine["total"]["cost_usd"] == pytest.approx(9e-6, abs=1e-12)
    assert mine["total"]["outcomes"] == {"complete": 1}
    assert (
        httpx.get(
            f"{gateway.origin}/admin/usage", headers=as_key(made), trust_env=False, verify=NO_TLS
        ).status_code
        == 403
    )
    everybody = admin.http.get("/admin/usage", params={"group_by": "key"}).json()
    assert made["id"] in {group["key"] for group in everybody["data"]}
    table = admin.http.get("/admin/ledger", headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.splitlines()[0].startswith("id,request_id,key_id,tenant,user,route,model,target")


def test_rotation_with_an_overlap(gateway: Gateway, admin: Admin) -> None:
    """Both secrets serve until the overlap is over."""
    made = admin.make_key()
    rotated = admin.http.post(f"/admin/keys/{made['id']}/rotate", json={"overlap_seconds": 60}).json()
    assert rotated["id"] == made["id"] and rotated["key"] != made["key"]
    assert ask(gateway, as_key(made)).status_code == 200
    assert ask(gateway, as_key(rotated)).status_code == 200
    again = admin.http.post(f"/admin/keys/{made['id']}/rotate", json={"overlap_seconds": 0}).json()
    assert code(ask(gateway, as_key(rotated))) == (401, "invalid_api_key")
    assert ask(gateway, as_key(again)).status_code == 200


def test_operators_routes(gateway: Gateway, admin: Admin) -> None:
    """Liveness for everybody, numbers for operators."""
    admin.make_key()
    http = httpx.Client(base_url=gateway.origin, trust_env=False, verify=NO_TLS)
    for path in ("/livez", "/readyz", "/healthz", "/docs", "/openapi.json"):
        assert http.get(path).status_code == 200, path
    assert set(http.get("/health").json()) == {"status", "version"}
    for path in ("/metrics", "/metrics.json", "/readyz?verbose"):
        assert code(http.get(path)) == (401, "invalid_api_key"), path
        assert admin.http.get(path).status_code == 200, path
    assert "models" in admin.http.get("/health").json()
    assert admin.http.get("/metrics.json").json()["total_requests"] > 0
    http.close()


def test_secrets_are_nowhere(gateway: Gateway, admin: Admin) -> None:
    """Not in the log, not in the database, not in any later answer."""
    made = admin.make_key()
    assert ask(gateway, as_key(made)).status_code == 200
    secret = made["key"].rpartition("_")[2]
    assert secret not in admin.http.get(f"/admin/keys/{made['id']}").text
    state = b"".join(
        path.read_bytes() for path in (gateway.directory / ".penstock").rglob("*") if path.is_file()
    )
    assert secret.encode() not in state
    assert secret not in gateway.log and ADMIN_KEY not in gateway.log
