"""One provider and any number of gateways for each module of end-to-end tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.gateway import Gateway, forget
from tests.fakes.behaviours import Answer
from tests.fakes.provider import FakeProvider

StartGateway = Callable[..., Gateway]


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """A provider that lives as long as the module; tests use `up`, gateways' fixtures this."""
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def up(provider: FakeProvider) -> FakeProvider:
    """The module's provider with nothing scripted and nothing seen: request 0 is this test's first."""
    forget(provider)
    provider.default = Answer()
    return provider


@pytest.fixture(scope="module")
def start_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartGateway]:
    """`start_gateway(config_text, env)`: a running gateway that is stopped after the module's last test.

    The arguments are those of `Gateway.start`.
    """
    with ExitStack() as stack:

        def start(*args: object, **kwargs: object) -> Gateway:
            gateway = stack.enter_context(Gateway(tmp_path_factory.mktemp("gateway")))
            gateway.start(*args, **kwargs)  # type: ignore[arg-type]
            return gateway

        yield start
