"""Which models there are, and what a name stands for: configured, and with no configuration at all."""

from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.e2e.conftest import StartGateway
from tests.e2e.gateway import NO_TLS, Gateway, model_toml, provider_toml
from tests.e2e.sdk import openai_client
from tests.fakes.provider import FakeProvider


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    config = [
        provider_toml("used", "openai", provider.base_url),
        provider_toml("open", "openai", provider.base_url),
        model_toml("fast", "used/gpt-4o-mini"),
        model_toml("org/deep/model", "used/other"),
    ]
    return start_gateway("\n".join(config), {"USED_KEY": "k", "OPEN_KEY": "k"})


@pytest.fixture(scope="module")
def bare_gateway(start_gateway: StartGateway, provider: FakeProvider) -> Gateway:
    """Nothing but two keys in the environment."""
    return start_gateway(
        None,
        {
            "OPENAI_API_KEY": "sk-openai-from-env",
            "OPENAI_BASE_URL": provider.base_url,
            "ANTHROPIC_API_KEY": "sk-ant-from-env",
            "ANTHROPIC_BASE_URL": provider.origin,
        },
    )


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai_client(gateway) as made:
        yield made


@pytest.fixture
def bare(bare_gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai_client(bare_gateway) as made:
        yield made


def test_the_configured_models_are_listed(client: openai.OpenAI) -> None:
    """Aliases, in the order of the file."""
    models = list(client.models.list())
    assert [model.id for model in models][:2] == ["fast", "org/deep/model"]
    assert {model.object for model in models} == {"model"}
    assert models[0].owned_by == "penstock"


@pytest.mark.parametrize("name", ["fast", "org/deep/model", "open/any/model:7b"])
def test_one_model(client: openai.OpenAI, name: str) -> None:
    """Its id may have slashes; what a provider without models would serve is there too."""
    model = client.models.retrieve(name)
    assert (model.id, model.object) == (name, "model")


@pytest.mark.parametrize("name", ["nobody", "org", "org/deep", "used/gpt-4o-mini", "open/", "sim", "FAST"])
def test_no_such_model(client: openai.OpenAI, up: FakeProvider, name: str) -> None:
    """404 in OpenAI's words, to ask for it and to use it alike."""
    with pytest.raises(openai.NotFoundError) as used:
        client.chat.completions.create(model=name, messages=[{"role": "user", "content": "x"}])
    assert (used.value.code, used.value.param) == ("model_not_found", "model")
    if not name.endswith("/"):
        with pytest.raises(openai.NotFoundError) as asked:
            client.models.retrieve(name)
        assert asked.value.code == "model_not_found"
    assert up.requests == []


def test_names_upstream(client: openai.OpenAI, up: FakeProvider) -> None:
    """An alias's target, and what follows the provider's name."""
    for name in ("fast", "org/deep/model", "open/any/model:7b"):
        client.chat.completions.create(model=name, messages=[{"role": "user", "content": "x"}])
    assert [request.json["model"] for request in up.requests] == ["gpt-4o-mini", "other", "any/model:7b"]


def test_without_configuration(bare: openai.OpenAI, up: FakeProvider) -> None:
    """`sim`, and the price table's names of both providers, bare and with the provider's name; nobody is asked."""
    names = [model.id for model in bare.models.list()]
    assert names[0] == "sim"
    assert {"gpt-4o-mini", "openai/gpt-4o-mini"} <= set(names)
    assert any(name.startswith("claude-") for name in names)
    assert any(name.startswith("anthropic/claude-") for name in names)
    assert len(names) == len(set(names))
    assert up.requests == []


def test_keys_from_the_environment(bare: openai.OpenAI, up: FakeProvider) -> None:
    """Bare and prefixed names reach their own provider with its key."""
    for name in ("gpt-4o-mini", "openai/gpt-4o-mini", "openai/brand-new", "anthropic/claude-brand-new"):
        bare.chat.completions.create(model=name, messages=[{"role": "user", "content": "x"}])
    assert [request.path for request in up.requests] == ["/v1/chat/completions"] * 3 + ["/v1/messages"]
    assert [request.json["model"] for request in up.requests] == [
        "gpt-4o-mini",
        "gpt-4o-mini",
        "brand-new",
        "claude-brand-new",
    ]
    assert up.requests[0].headers["authorization"] == "Bearer sk-openai-from-env"
    assert up.requests[3].headers["x-api-key"] == "sk-ant-from-env"


def test_an_odd_path(gateway: Gateway) -> None:
    """A name with percent-encoded slashes is the same name."""
    answer = httpx.get(f"{gateway.openai_url}/models/org%2Fdeep%2Fmodel", trust_env=False, verify=NO_TLS)
    assert (answer.status_code, answer.json()["id"]) == (200, "org/deep/model")
