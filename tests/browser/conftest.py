"""A gateway with a provider, a browser, and a page of another origin than the gateway's."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser.events import Caller, new_caller
from tests.browser.network import Network
from tests.browser.webdriver import Chromium
from tests.e2e.admin import AUTH_TOML
from tests.e2e.conftest import StartGateway, provider, start_gateway, up
from tests.e2e.gateway import REPOSITORY, model_toml, provider_toml
from tests.fakes.provider import FakeProvider

__all__ = ["provider", "start_gateway", "up"]

PAGES = REPOSITORY / "docs" / "browser"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """The address of docs/browser, served on loopback."""
    handler = functools.partial(Quiet, directory=PAGES)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, name="pages")
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def caller(start_gateway: StartGateway, provider: FakeProvider, page: str) -> Caller:
    """With a key to a gateway that needs one, allows the page's origin, and waits for those who were cut."""
    config = [
        f'[server]\ncors_allow_origins = ["{page}"]\n',
        AUTH_TOML,
        provider_toml("up", "openai", provider.base_url),
        model_toml("m", "up/x"),
        "[retries]\nmax_attempts = 1\n[streams]\nlinger_seconds = 60\n",
    ]
    return new_caller(start_gateway("\n".join(config), {"UP_KEY": "up-secret-key"}))


@pytest.fixture
def network(caller: Caller) -> Iterator[Network]:
    """What is between the clients and the gateway."""
    with Network(caller.gateway.port) as between:
        yield between


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser; start it once for all."""
    with Chromium(Path(tmp_path_factory.mktemp("chromium"))) as started:
        yield started
