"""Limits of tenants and users as an operator sets them and their keys meet them."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.admin import AUTH_TOML, Admin, as_key
from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, Gateway
from tests.e2e.raw import Peer
from tests.fakes.answers import Said
from tests.fakes.behaviours import Answer
from tests.fakes.provider import FakeProvider

CONFIG = """
    {auth}
    [limits.tenant]
    concurrent_requests = 50
    [limits.models.m]
    requests_per_minute = 100000
    [limits.routes."/v1/chat/completions"]
    requests_per_minute = 100000
    [[providers]]
    name = "up"
    kind = "openai"
    base_url = "{url}"
    [[models]]
    name = "m"
    targets = [{{ provider = "up", model = "x" }}]
    max_output_tokens = 100
    price = {{ input = 1.0, output = 2.0 }}
    """

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi there"}], "max_tokens": 10}

BOUND_TOKENS = 8 + 8 + 10
"""Of such a request: bytes of its prompt, 8 for its message, and its maximum."""


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    return start_gateway(CONFIG.format(auth=AUTH_TOML, url=provider.base_url))


@pytest.fixture
def admin(gateway: Gateway) -> Iterator[Admin]:
    """The administrator of the module's gateway."""
    made = Admin(gateway)
    yield made
    made.close()


def ask(gateway: Gateway, made: dict[str, Any]) -> httpx.Response:
    """One request, as the holder of a key."""
    url = f"{gateway.origin}/v1/chat/completions"
    return httpx.post(url, json=BODY, headers=as_key(made), trust_env=False, verify=NO_TLS, timeout=20)


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and `error.code`."""
    return answer.status_code, answer.json()["error"]["code"]


def put(admin: Admin, path: str, **body: object) -> dict[str, Any]:
    """Set limits; the answer."""
    answer = admin.http.put(path, json=body)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def test_a_tenants_budget_holds_over_all_its_keys(gateway: Gateway, admin: Admin, up: FakeProvider) -> None:
    """Room for three calls: the fourth is refused, whoever of the tenant sends it; others' go on."""
    up.default = Answer(said=Said("x", input_tokens=16, output_tokens=10), interval_seconds=0.0)
    keys = [admin.make_key(tenant="shared"), admin.make_key(tenant="shared")]
    put(admin, "/admin/tenants/shared", budgets=[{"tokens": 3 * BOUND_TOKENS, "per": "day"}])
    assert [ask(gateway, keys[n % 2]).status_code for n in range(3)] == [200, 200, 200]
    for made in keys:
        refused = ask(gateway, made)
        assert code(refused) == (429, "budget_exceeded")
        assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert ask(gateway, admin.make_key(tenant="another")).status_code == 200
    [meter] = [
        each
        for each in admin.http.get("/admin/limits", params={"tenant": "shared"}).json()["data"]
        if each["kind"] == "budget_tokens"
    ]
    assert meter["name"] == "tenant-budget-tokens-day" and meter["subject_id"] == "shared"
    assert (meter["capacity"], meter["used"], meter["remaining"]) == (3 * BOUND_TOKENS, 3 * BOUND_TOKENS, 0)


def test_a_change_takes_effect_at_once_and_after_a_restart(tmp_path: Path, up: FakeProvider) -> None:
    """And so does taking it away; what was used stays used."""
    up.default = Answer(said=Said("x", input_tokens=16, output_tokens=10), interval_seconds=0.0)
    with ExitStack() as stack:
        gateway = stack.enter_context(Gateway(tmp_path))
        gateway.start(CONFIG.format(auth=AUTH_TOML, url=up.base_url))
        admin = Admin(gateway)
        stack.callback(admin.close)
        made = admin.make_key(tenant="acme", user="ann")
        user = "/admin/users/ann?tenant=acme"
        put(admin, user, budgets=[{"tokens": 1, "per": "total"}])
        assert code(ask(gateway, made)) == (429, "budget_exceeded")
        put(admin, user, budgets=[{"tokens": 2 * BOUND_TOKENS, "per": "total"}])
        assert [ask(gateway, made).status_code for _ in range(2)] == [200, 200]
        assert code(ask(gateway, made)) == (429, "budget_exceeded")
        admin.wait_rows(2, key=made["id"])
        gateway.stop()
        gateway.start(gateway.config_path.read_text())
        admin = Admin(gateway)
        stack.callback(admin.close)
        assert code(ask(gateway, made)) == (429, "budget_exceeded")
        assert admin.http.delete(user).status_code == 204
        assert ask(gateway, made).status_code == 200
        gateway.stop()
        gateway.start(gateway.config_path.read_text())
        assert ask(gateway, made).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("acme", id="plain"),
        pytest.param("a/b", id="a-slash"),
        pytest.param("/a//b/", id="slashes-at-both-ends-and-side-by-side"),
        pytest.param("50%", id="a-percent-sign"),
        pytest.param("a%2Fb", id="what-looks-encoded"),
        pytest.param("a b+c?d#e&f=g;h", id="what-urls-are-made-of"),
        pytest.param("Ünï \N{KEY}", id="beyond-ascii"),
        pytest.param("o'hara\"; --", id="quotes"),
        pytest.param("x" * 256, id="as-long-as-it-may-be"),
        pytest.param("/admin/tenants/x", id="the-routes-own-path"),
    ],
)
@pytest.mark.parametrize("kind", ["tenant", "user"])
def test_names_may_hold_any_character(admin: Admin, kind: str, name: str) -> None:
    """What was set by the name in the path is what keys of that name have; also a user's, of such a tenant."""
    path = f"/admin/{kind}s/{quote(name, safe='')}"
    if kind == "user":
        path += f"?tenant={quote(name, safe='')}"
    shown = put(admin, path, limits={"requests_per_minute": 7}, budgets=[{"usd": 0.1, "per": "week"}])
    assert (shown["object"], shown[kind], shown["tenant"]) == (kind, name, name)
    assert shown["limits"] == {"requests_per_minute": 7}
    assert shown["budgets"] == [{"usd": 0.1, "per": "week"}]
    assert admin.http.get(path).json() == shown
    asked = {"tenant": name} | ({"user": name} if kind == "user" else {})
    meters = {each["name"]: each for each in admin.http.get("/admin/limits", params=asked).json()["data"]}
    assert meters[f"{kind}-requests"]["capacity"] == 7
    assert meters[f"{kind}-usd-week"]["capacity"] == 0.1
    assert admin.http.delete(path).status_code == 204
    assert admin.http.delete(path).status_code == 204
    assert code(admin.http.get(path)) == (404, "not_found")


def test_lists_lead_through_all_pages(admin: Admin) -> None:
    """By name, each once."""
    names = [f"page/{number}" for number in range(5)]
    for name in names:
        put(admin, f"/admin/tenants/{quote(name, safe='')}", limits={"concurrent_requests": 1})
    seen: list[str] = []
    after = "page/"
    while after:
        answer = admin.http.get("/admin/tenants", params={"limit": 2, "after": after}).json()
        assert answer["object"] == "list" and len(answer["data"]) <= 2
        seen += [each["tenant"] for each in answer["data"]]
        assert answer["has_more"] == (answer["next_cursor"] is not None)
        after = answer["next_cursor"]
    assert [name for name in seen if name.startswith("page/")] == names
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        pytest.param("PUT", "/admin/tenants/a", {"limit": {}}, (400, "invalid_request"), id="unknown-member"),
        pytest.param(
            "PUT", "/admin/users/a", {"limits": {"burst": 1}}, (400, "invalid_request"), id="burst-alone"
        ),
        pytest.param("PUT", "/admin/tenants", {}, (405, "method_not_allowed"), id="nobody"),
        pytest.param("PUT", "/admin/tenants/a%00b", {}, (400, "invalid_request"), id="nul"),
        pytest.param("PUT", f"/admin/tenants/{'x' * 257}", {}, (400, "invalid_request"), id="too-long"),
        pytest.param("GET", "/admin/users/nobody", None, (404, "not_found"), id="nothing-was-set"),
        pytest.param("GET", "/admin/users?limit=0", None, (400, "invalid_request"), id="no-page"),
        pytest.param("GET", "/admin/users?limit=x", None, (400, "invalid_request"), id="no-number"),
        pytest.param("GET", "/admin/limits", None, (400, "invalid_request"), id="no-subject"),
        pytest.param("GET", "/admin/limits?key=nobody", None, (404, "not_found"), id="no-such-key"),
        pytest.param("GET", "/admin/limits?address=here", None, (400, "invalid_request"), id="no-address"),
        pytest.param("GET", "/admin/limits?tenant=&user=a", None, (400, "invalid_request"), id="empty"),
    ],
)
def test_what_is_refused(
    admin: Admin, method: str, path: str, body: dict[str, object] | None, expected: tuple[int, str]
) -> None:
    assert code(admin.http.request(method, path, json=body)) == expected


def test_a_name_that_is_no_text_is_refused(gateway: Gateway) -> None:
    """Whatever the server makes of it before we see it, it is the client's mistake."""
    head = "GET /admin/tenants/%ff HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n"
    with Peer(gateway.origin) as peer:
        peer.send(head.format(AUTH_TOML.split('"')[1]).encode())
        assert peer.reply().status == 400


def test_only_administrators(gateway: Gateway, admin: Admin) -> None:
    """A key of the tenant itself is not one."""
    made = admin.make_key(tenant="acme")
    http = httpx.Client(base_url=gateway.origin, trust_env=False, verify=NO_TLS, headers=as_key(made))
    for method, path in (
        ("PUT", "/admin/tenants/acme"),
        ("DELETE", "/admin/tenants/acme"),
        ("GET", "/admin/tenants"),
        ("PUT", "/admin/users/ann"),
        ("GET", "/admin/users"),
        ("GET", "/admin/limits?tenant=acme"),
    ):
        assert code(http.request(method, path, json={})) == (403, "permission_denied"), path
    http.close()


def test_where_each_subject_stands(gateway: Gateway, admin: Admin) -> None:
    """After one request of a key with a budget of money."""
    made = admin.make_key(budgets=[{"usd": 2, "per": "day"}], limits={"concurrent_requests": 2})
    assert ask(gateway, made).status_code == 200

    def meters(**asked: str) -> dict[str, dict[str, Any]]:
        answer = admin.http.get("/admin/limits", params=asked)
        assert answer.status_code == 200, answer.text
        assert answer.json()["object"] == "list"
        return {each["name"]: each for each in answer.json()["data"]}

    key = meters(key=made["id"])
    assert set(key) == {"key-concurrency", "key-usd-day"}
    [row] = admin.wait_rows(1, key=made["id"])
    assert key["key-usd-day"]["used"] == pytest.approx(row["cost_usd"], abs=1e-12)
    assert key["key-usd-day"]["remaining"] == pytest.approx(2 - row["cost_usd"], abs=1e-12)
    assert 0 < key["key-usd-day"]["reset_seconds"] <= 86_400
    assert key["key-concurrency"]["used"] == 0
    assert meters(model="m")["model-requests"]["capacity"] == 100_000
    assert meters(route="/v1/chat/completions")["route-requests"]["capacity"] == 100_000
    assert meters(tenant="whoever")["tenant-concurrency"]["remaining"] == 50
    assert meters(address="2001:db8::1") == {} == meters(model="free")
