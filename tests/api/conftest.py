"""An application with the simulated model, asked without a network, and its document."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.config import Settings
from service.config.limits import Limits
from service.config.secret import Secret
from service.config.settings import Auth, LimitSettings, Provider, Store
from service.lifespan import open_services
from service.migrations.run import migrate
from tests.api.document import Json
from tests.fakes.lifespan import started

ADMIN_KEY = "admin-secret-of-the-tests"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Asks an application that has the simulated model, as its administrator. It is open, and limits others."""
    settings = Settings(
        providers=(Provider(name="sim", kind="sim"),),
        auth=Auth(admin_key=Secret(ADMIN_KEY)),
        limits=LimitSettings(anonymous=Limits(requests_per_minute=600, tokens_per_minute=1_000_000)),
        store=Store(database=f"sqlite:///{tmp_path}/penstock.db", journal=f"{tmp_path}/journal"),
    )
    await migrate(settings.store.database, "head")
    app = create_app(settings, open_services)
    async with started(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport,
            base_url="http://localhost",
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        ) as found:
            yield found


@pytest.fixture
def stranger(client: httpx.AsyncClient) -> Iterator[httpx.AsyncClient]:
    """The same without a key."""
    key = client.headers.pop("Authorization")
    yield client
    client.headers["Authorization"] = key


@pytest.fixture
async def key_id(client: httpx.AsyncClient) -> str:
    """A key that was made, beside limits of a tenant and of a user."""
    for path in ("/admin/tenants/acme", "/admin/users/ada"):
        assert (await client.put(path, json={"limits": {"burst": 9, "requests_per_minute": 9}})).is_success
    found: str = (await client.post("/admin/keys", json={"name": "a"})).json()["id"]
    return found


@pytest.fixture
async def stream_id(client: httpx.AsyncClient, key_id: str) -> str:
    """A stream of the administrator's, which is over, from when keys were needed already."""
    assert key_id
    body = {"model": "sim", "messages": [{"role": "user", "content": "Hello!"}]}
    found: str = (await client.post("/v1/streams", json=body)).json()["id"]
    return found


@pytest.fixture
async def document(client: httpx.AsyncClient) -> Json:
    """The document that is served."""
    found: Json = (await client.get("/openapi.json")).json()
    return found
