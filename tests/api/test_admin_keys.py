"""/admin/keys over HTTP: bodies, queries, statuses and headers."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException

from service.config import Settings
from service.http import refusals
from service.http.edge import App, Edge
from service.http.request import GatewayRequest
from service.keys.controller import KeysController
from tests.fakes.authentication import Bench

PATH = "/admin/keys"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the routes, on a store in memory. Who may come in is the guard's to say."""
    app = Litestar(
        route_handlers=[KeysController],
        request_class=GatewayRequest,
        exception_handlers={Exception: refusals.refuse, HTTPException: refusals.refuse},
        logging_config=None,
        openapi_config=None,
    )
    app.state.services = SimpleNamespace(keys=Bench().service)
    edge = Edge(cast(App, app), {}, Settings())
    transport = httpx.ASGITransport(app=cast(Any, edge))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def made(client: httpx.AsyncClient, **members: object) -> dict[str, Any]:
    """A key."""
    answer = await client.post(PATH, json={"name": "ci", **members})
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def test_the_life_of_a_key(client: httpx.AsyncClient) -> None:
    """Made, shown, changed, rotated, revoked."""
    sent = {
        "name": "ci",
        "tenant": "acme",
        "limits": {"burst": 2, "requests_per_minute": 1},
        "metadata": {"a": "b"},
    }
    answer = await client.post(PATH, json=sent)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    key = answer.json()
    assert {name: key[name] for name in sent} == sent
    text = key.pop("key")
    assert text.startswith(f"psk_{key['id']}_")
    place = f"{PATH}/{key['id']}"
    assert (await client.get(place)).json() == key

    changed = await client.patch(place, json={"tenant": None, "name": "cd"})
    assert changed.status_code == 200
    assert changed.json() == {**key, "tenant": None, "name": "cd"}

    rotated = await client.post(f"{place}/rotate", json={"overlap_seconds": 60})
    assert rotated.status_code == 200
    assert rotated.headers["cache-control"] == "no-store"
    assert rotated.json()["key"] != text
    assert rotated.json()["previous_expires_at"] > key["created_at"]

    for _ in range(2):
        ended = await client.delete(place)
        assert (ended.status_code, ended.content) == (204, b"")
    assert (await client.get(place)).json()["state"] == "revoked"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"content": b"", "headers": {"content-type": "application/json"}}, id="an-empty-body"),
        pytest.param({"json": {}}, id="an-empty-object"),
    ],
)
async def test_a_rotation_needs_no_body(client: httpx.AsyncClient, given: dict[str, Any]) -> None:
    """Without one the old secret ends at once."""
    key = await made(client)
    answer = await client.post(f"{PATH}/{key['id']}/rotate", **given)
    assert answer.status_code == 200, answer.text
    assert answer.json()["previous_expires_at"] is None


async def test_a_rotations_body_is_checked_as_any(client: httpx.AsyncClient) -> None:
    place = f"{PATH}/{(await made(client))['id']}/rotate"
    assert (await client.post(place, json={"overlap_seconds": -1})).status_code == 400
    assert (await client.post(place, json={"overlap": 1})).status_code == 400
    assert (await client.post(place, content=b"overlap_seconds=60")).status_code == 415

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"overlap_'
        yield b'seconds": 60}'

    answer = await client.post(place, content=chunks(), headers={"content-type": "application/json"})
    assert answer.json()["previous_expires_at"] is not None


async def test_pages(client: httpx.AsyncClient) -> None:
    ids = [(await made(client))["id"] for _ in range(3)]
    first = (await client.get(PATH, params={"limit": 2})).json()
    assert first["object"] == "list"
    assert [key["id"] for key in first["data"]] == ids[:0:-1]
    assert first["has_more"] is True
    assert "key" not in first["data"][0]
    rest = (await client.get(PATH, params={"after": first["next_cursor"]})).json()
    assert [key["id"] for key in rest["data"]] == ids[:1]
    assert (rest["has_more"], rest["next_cursor"]) == (False, None)


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "", "１"])
async def test_a_page_has_a_number_of_keys(client: httpx.AsyncClient, limit: str) -> None:
    answer = await client.get(PATH, params={"limit": limit})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "limit"


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        pytest.param("GET", "", None, id="get"),
        pytest.param("PATCH", "", {"name": "x"}, id="patch"),
        pytest.param("DELETE", "", None, id="delete"),
        pytest.param("POST", "/rotate", {}, id="rotate"),
    ],
)
async def test_an_unknown_key_is_404(
    client: httpx.AsyncClient, method: str, below: str, body: dict[str, str] | None
) -> None:
    answer = await client.request(method, f"{PATH}/{'0' * 16}{below}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("members", "named"),
    [
        pytest.param({}, "name", id="no-name"),
        pytest.param({"name": "x", "quota": 5}, "quota", id="an-unknown-member"),
        pytest.param({"name": "x", "scopes": ["chat", "root"]}, "scopes[1]", id="an-unknown-scope"),
        pytest.param({"name": "x", "budgets": [{"per": "day"}]}, "budgets[0]", id="a-budget-of-nothing"),
        pytest.param({"name": "x", "limits": {"rpm": 5}}, "rpm", id="an-unknown-limit"),
        pytest.param({"name": "x", "expires_at": "soon"}, "expires_at", id="no-time"),
    ],
)
async def test_a_mistake_is_named(client: httpx.AsyncClient, members: dict[str, Any], named: str) -> None:
    answer = await client.post(PATH, json=members)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]
