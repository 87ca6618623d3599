"""Which names a client may use, and what each stands for."""

from collections.abc import Iterable

import pytest

from service.chat.catalog import MAX_REMEMBERED, Card, Catalog
from service.config import Model, Price, Provider, Settings, TargetRef, TimeoutOverrides
from service.errors import InvalidRequest, ModelNotFound
from service.pricing.arithmetic import Rates

UP = Provider(name="up", kind="openai", base_url="https://up.example/v1")
OTHER = Provider(name="other", kind="anthropic", base_url="https://other.example")
SIM = Provider(name="sim", kind="sim")


class TablePrices:
    """A price table of two models at `up` and one at `other`; a configured price is one pico-dollar a token."""

    def model_names(self, provider: Provider) -> Iterable[str]:
        """By the provider's name."""
        return {"up": ("gpt", "both"), "other": ("opus", "both")}.get(provider.name, ())

    def rates(self, provider: Provider, model: str, configured: Price | None) -> Rates | None:
        """Tells the two sources apart."""
        return Rates(1, 1, 1, 1) if configured else None

    def version(self, provider: Provider, configured: Price | None) -> str:
        """Tells the two apart too."""
        return "config" if configured else "table"


def model(name: str, *targets: str, fallbacks: tuple[str, ...] = (), price: Price | None = None) -> Model:
    """A configured alias; its targets are written `provider/model`."""
    refs = tuple(
        TargetRef(provider=found.partition("/")[0], model=found.partition("/")[2]) for found in targets
    )
    return Model(name=name, targets=refs, fallbacks=fallbacks, max_output_tokens=99, price=price)


def catalog(*providers: Provider, models: tuple[Model, ...] = ()) -> Catalog:
    """What these settings offer."""
    return Catalog(Settings(providers=providers, models=models), TablePrices())


def found(name: str, *providers: Provider, models: tuple[Model, ...] = ()) -> list[str]:
    """The targets behind `name`."""
    return [target.name for target, _ in catalog(*providers, models=models).find(name).targets]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param("up/gpt", "up/gpt", id="a-provider-serves-its-models"),
        pytest.param("up/anything", "up/anything", id="and-any-other"),
        pytest.param("up/meta/llama:8b", "up/meta/llama:8b", id="a-model-may-hold-slashes"),
        pytest.param("gpt", "up/gpt", id="the-price-tables-names-bare"),
        pytest.param("opus", "other/opus", id="of-each-provider"),
        pytest.param("both", "up/both", id="the-first-provider-wins"),
        pytest.param("sim", "sim/sim", id="simulated"),
        pytest.param("sim-200-20ms", "sim/sim-200-20ms", id="simulated-at-a-pace"),
        pytest.param("sim/sim-5-0ms", "sim/sim-5-0ms", id="simulated-in-full"),
    ],
)
def test_providers_without_models_serve_any(name: str, target: str) -> None:
    assert found(name, UP, OTHER, SIM) == [target]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="nothing"),
        pytest.param("nope", id="unknown"),
        pytest.param("GPT", id="case-counts"),
        pytest.param(" gpt", id="white-space-counts"),
        pytest.param("up/", id="no-model"),
        pytest.param("up", id="a-provider-is-no-model"),
        pytest.param("nowhere/gpt", id="no-such-provider"),
        pytest.param("/gpt", id="no-provider"),
        pytest.param("sim-fast", id="no-such-pace"),
        pytest.param("sim-5-0ms-x", id="more-behind-a-pace"),
        pytest.param("up/" + "x" * 1_000_000, id="a-name-of-megabytes"),
        pytest.param("sim-" + "9" * 1_000_000 + "-0ms", id="a-pace-of-megabytes"),
    ],
)
def test_other_names_do_not_exist(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        catalog(UP, OTHER, SIM).find(name)
    assert caught.value.param == "model"
    assert repr(name[:200]) in caught.value.detail and "/v1/models" in caught.value.detail
    assert len(caught.value.detail) < 400


def test_sim_is_only_there_where_it_is_configured() -> None:
    """With another provider alone its names are unknown."""
    with pytest.raises(ModelNotFound):
        catalog(UP).find("sim-5-0ms")


def test_a_configured_name_comes_first_and_closes_its_provider() -> None:
    """An alias beats `provider/model` and the price table; its provider serves nothing else."""
    models = (model("gpt", "up/own"), model("other/opus", "up/special"))
    assert found("gpt", UP, OTHER, models=models) == ["up/own"]
    assert found("other/opus", UP, OTHER, models=models) == ["up/special"]
    assert found("other/sonnet", UP, OTHER, models=models) == ["other/sonnet"]
    for closed in ("up/gpt", "up/own", "own"):
        with pytest.raises(ModelNotFound):
            catalog(UP, OTHER, models=models).find(closed)


def test_a_configured_alias_holds_all_that_was_written() -> None:
    """Weights, fallbacks, maximum, price and clocks."""
    price = Price(input=1, output=1)
    ref = TargetRef(provider="up", model="m", weight=3)
    slow = TimeoutOverrides(first_token_seconds=7)
    fast = Model(
        name="fast", targets=(ref,), fallbacks=("slow",), max_output_tokens=9, price=price, timeouts=slow
    )
    alias = catalog(UP, models=(fast, model("slow", "up/s"))).find("fast")
    [(target, weight)] = alias.targets
    assert (alias.name, alias.fallbacks, weight) == ("fast", ("slow",), 3.0)
    assert (target.max_output_tokens, target.rates) == (9, Rates(1, 1, 1, 1))
    assert (target.timeouts.first_token_seconds, target.timeouts.idle_seconds) == (7, 30)


def test_an_unconfigured_model_has_defaults() -> None:
    """4096 tokens where a maximum is needed, and the global clocks."""
    [(target, weight)] = catalog(UP).find("up/m").targets
    assert (target.max_output_tokens, target.rates, weight) == (4096, None, 1.0)
    assert target.timeouts.total_seconds == 600


def test_the_list_names_what_is_known_configured_ones_first() -> None:
    """Bare and in full; the open end of `provider/model` can't be listed."""
    assert catalog(UP, OTHER, SIM, models=(model("fast", "up/m"),)).cards() == [
        Card("fast", "penstock"),
        Card("opus", "other"),
        Card("other/opus", "other"),
        Card("both", "other"),
        Card("other/both", "other"),
        Card("sim", "sim"),
    ]


def test_whether_there_is_a_model() -> None:
    assert [catalog(SIM).has(name) for name in ("sim", "up/gpt")] == [True, False]


def test_every_listed_name_is_found() -> None:
    """What `/v1/models` shows can be asked for."""
    offered = catalog(UP, OTHER, SIM, models=(model("fast", "sim/sim"),))
    assert all(offered.find(card.id).name == card.id for card in offered.cards())


def test_the_default_is_the_first_one_listed() -> None:
    """For the simple surface, whose requests need name none."""
    assert catalog(UP, SIM, models=(model("fast", "up/m"),)).default() == "fast"
    assert catalog(SIM).default() == "sim"


def test_without_any_model_there_is_no_default() -> None:
    """A provider of which nothing is known serves any model, but not one of our choice."""
    with pytest.raises(InvalidRequest) as caught:
        catalog(Provider(name="vllm", kind="openai", base_url="http://127.0.0.1:8001/v1")).default()
    assert caught.value.param == "model"


def test_made_up_names_stay_bounded_and_keep_working() -> None:
    """Clients choose them; the same name gives the same alias again."""
    offered = catalog(UP)
    for number in range(MAX_REMEMBERED + 5):
        assert offered.find(f"up/m{number}").name == f"up/m{number}"
    assert len(offered._remembered) <= MAX_REMEMBERED
    assert offered.find("up/m1") is offered.find("up/m1")
