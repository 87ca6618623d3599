"""/v1/usage, /admin/usage and /admin/ledger, as clients see them."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urljoin

import httpx
import pytest

from service.app import create_app
from service.config import Settings
from service.errors import InvalidApiKey
from service.http.edge import Edge
from service.lifespan import Services
from service.principal import USER_SCOPES, Principal, Scope
from service.usage.row import Outcome
from service.usage.service import UsageService
from service.usage.store import LedgerStore
from tests.fakes.ledger_rows import DAY, NOON, a_row
from tests.fakes.lifespan import started

Json = dict[str, Any]
CSV = {"Accept": "text/csv"}
AS_CALLER = {"Authorization": "Bearer k1"}
AS_ADMIN = {"Authorization": "Bearer admin"}


CALLERS = {
    b"k1": Principal(key_id="k1", scopes=USER_SCOPES),
    b"admin": Principal(key_id="admin", scopes=frozenset({Scope.ADMIN})),
}


class Gatekeeper:
    """Knows two callers by their names."""

    required = True

    def recognise(self, credential: bytes | None, address: str) -> Principal:
        """The caller of this name."""
        if (found := CALLERS.get(credential or b"")) is None:
            raise InvalidApiKey("No such key.")
        return found


@pytest.fixture
async def client(ledger: LedgerStore) -> AsyncIterator[httpx.AsyncClient]:
    """Asks an application that has nothing but this ledger."""
    services = SimpleNamespace(
        gatekeeper=Gatekeeper(),
        recorder=SimpleNamespace(record=lambda facts, ended_at: None),
        usage=UsageService(ledger),
    )

    @asynccontextmanager
    async def open_services(
        settings: Settings, edge: Edge, routes: frozenset[str]
    ) -> AsyncIterator[Services]:
        yield cast(Services, services)

    app = create_app(Settings(), open_services)
    async with started(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as found:
            yield found


async def get(client: httpx.AsyncClient, url: str, headers: dict[str, str] = AS_ADMIN) -> Json:
    """The JSON of an answer that is 200."""
    answer = await client.get(url, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: Json = answer.json()
    return found


ROWS = [
    a_row("use_1", model="a", cost_nano_usd=1),
    a_row("use_2", model="b", cost_nano_usd=None, started_at=NOON + DAY, outcome=Outcome.TIMEOUT),
    a_row(
        "use_3", model="b", cost_nano_usd=2_000_000_000, started_at=NOON + 2 * DAY, key_id="k2", tenant="t2"
    ),
]


async def test_a_caller_sees_its_own_use_alone(client: httpx.AsyncClient, ledger: LedgerStore) -> None:
    await ledger.insert(ROWS)
    for url in ("/v1/usage", "/v1/usage?key=k2"):
        assert await get(client, url, AS_CALLER) == {
            "object": "usage",
            "data": [usage("day", "2026-03-01", 1e-9, complete=1), usage("day", "2026-03-02", 0, timeout=1)],
            "total": {
                "requests": 2,
                "input_tokens": 200,
                "cached_input_tokens": 60,
                "output_tokens": 40,
                "cost_usd": 1e-9,
                "outcomes": {"complete": 1, "timeout": 1},
            },
            "has_more": False,
            "next_cursor": None,
        }


def usage(group_by: str, name: str, cost_usd: float, **outcomes: int) -> Json:
    """The line of a group of one row."""
    return {
        group_by: name,
        "requests": 1,
        "input_tokens": 100,
        "cached_input_tokens": 30,
        "output_tokens": 20,
        "cost_usd": cost_usd,
        "outcomes": outcomes,
    }


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("group_by=model", ["a", "b"], id="by-model"),
        pytest.param("group_by=key", ["k1", "k2"], id="by-key"),
        pytest.param("group_by=key&from=2026-03-02&to=2026-03-02", ["k1"], id="of-one-day"),
        pytest.param("group_by=key&key=k2", ["k2"], id="of-a-key"),
        pytest.param("group_by=key&tenant=t2", ["k2"], id="of-a-tenant"),
        pytest.param("group_by=key&user=nobody", [], id="of-a-user"),
        pytest.param("group_by=key&model=a", ["k1"], id="of-a-model"),
        pytest.param(f"group_by=key&from={NOON + DAY + 1}", ["k2"], id="from-a-second-on"),
    ],
)
async def test_an_administrator_sees_everybodys(
    client: httpx.AsyncClient, ledger: LedgerStore, query: str, names: list[str]
) -> None:
    await ledger.insert(ROWS)
    answer = await get(client, f"/admin/usage?{query}")
    assert [line[query[9:].partition("&")[0]] for line in answer["data"]] == names
    assert answer["total"]["requests"] == sum(line["requests"] for line in answer["data"])


@pytest.mark.parametrize("path", ["/admin/usage?group_by=model", "/admin/ledger", "/v1/usage?group_by=day"])
async def test_pages_hold_everything_once(client: httpx.AsyncClient, ledger: LedgerStore, path: str) -> None:
    await ledger.insert([a_row(f"use_{n}", model=f"m{n}", started_at=NOON + n * DAY) for n in range(7)])
    headers = AS_CALLER if path.startswith("/v1") else AS_ADMIN
    joint = "&" if "?" in path else "?"
    whole = await get(client, path, headers)
    found: list[Json] = []
    cursor = ""
    for _ in range(4):
        page = await get(client, f"{path}{joint}limit=2{cursor}", headers)
        found += page["data"]
        cursor = f"&after={page['next_cursor']}"
        assert page["has_more"] is (len(found) < 7)
    assert found == whole["data"]
    assert len(found) == 7
    assert cursor == "&after=None"


async def test_the_ledger_shows_rows_newest_first(client: httpx.AsyncClient, ledger: LedgerStore) -> None:
    await ledger.insert(ROWS)
    answer = await get(client, "/admin/ledger")
    assert [line["id"] for line in answer["data"]] == ["use_3", "use_2", "use_1"]
    assert [line["cost_usd"] for line in answer["data"]] == [2.0, None, 1e-9]
    assert answer["data"][2]["started_at"] == NOON


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("key=k2", ["use_3"]),
        ("outcome=timeout", ["use_2"]),
        ("request_id=req_0&limit=1", ["use_3"]),
        ("request_id=else", []),
        ("from=2026-03-02T00:00:00Z&to=2026-03-02", ["use_2"]),
        ("limit=5000", ["use_3", "use_2", "use_1"]),
    ],
)
async def test_the_ledger_is_filtered(
    client: httpx.AsyncClient, ledger: LedgerStore, query: str, ids: list[str]
) -> None:
    await ledger.insert(ROWS)
    answer = await get(client, f"/admin/ledger?{query}")
    assert [line["id"] for line in answer["data"]] == ids


@pytest.mark.parametrize(
    ("path", "headers", "columns"),
    [
        ("/v1/usage", AS_CALLER, ["day", "requests", "input_tokens"]),
        ("/admin/usage?group_by=model", AS_ADMIN, ["model", "requests", "input_tokens"]),
        ("/admin/ledger", AS_ADMIN, ["id", "request_id", "key_id"]),
    ],
)
async def test_csv_is_a_table_of_the_same_lines(
    client: httpx.AsyncClient, ledger: LedgerStore, path: str, headers: dict[str, str], columns: list[str]
) -> None:
    await ledger.insert(ROWS)
    answer = await client.get(path, headers=headers | CSV)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    table = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert list(table[0])[:3] == columns
    data = (await get(client, path, headers))["data"]
    assert [line[columns[0]] for line in table] == [str(line[columns[0]]) for line in data]


@pytest.mark.parametrize("path", ["/admin/usage?group_by=model&limit=1", "/admin/ledger?limit=2"])
async def test_csv_names_its_next_page_in_a_header(
    client: httpx.AsyncClient, ledger: LedgerStore, path: str
) -> None:
    await ledger.insert(ROWS)
    first = await client.get(path, headers=AS_ADMIN | CSV)
    target = first.links["next"]["url"]
    second = await client.get(urljoin(str(first.url), target), headers=AS_ADMIN | CSV)
    assert "next" not in second.links
    assert len((first.text + second.text).splitlines()) == 2 + (2 if "usage" in path else 3)


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/usage?from=yesterday", "from"),
        ("/v1/usage?to=", "to"),
        ("/v1/usage?group_by=hour", "group_by"),
        ("/admin/usage?limit=0", "limit"),
        ("/admin/usage?after=x", "after"),
        ("/admin/ledger?outcome=ok", "outcome"),
        ("/admin/ledger?key=%00", "key"),
    ],
)
async def test_what_is_wrong_is_a_400_that_names_it(client: httpx.AsyncClient, path: str, param: str) -> None:
    answer = await client.get(path, headers=AS_CALLER if path.startswith("/v1") else AS_ADMIN)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/admin/usage", AS_CALLER, 403),
        ("/admin/ledger", AS_CALLER, 403),
        ("/admin/ledger", {}, 401),
        ("/v1/usage", {}, 401),
    ],
)
async def test_who_may_not_look_is_refused(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    assert (await client.get(path, headers=headers)).status_code == status
