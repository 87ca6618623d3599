"""What is refused at start, where it is said to be, and how the operator learns the remedy."""

import itertools
import tomllib
from pathlib import Path

import pytest

from service.config import ConfigInvalid, Settings
from service.config.load import settings_from

SIM = '[[providers]]\nname = "sim"\nkind = "sim"\n'
UP = '[[providers]]\nname = "up"\nkind = "openai"\nbase_url = "http://127.0.0.1:9000/v1"\n'


def made(text: str, *, insecure: bool = False, environment: dict[str, str] | None = None) -> Settings:
    """Settings from a file that holds `text`."""
    return settings_from(
        tomllib.loads(text),
        source="penstock.toml",
        environment=environment or {},
        overrides={},
        insecure_no_auth=insecure,
        working_directory=Path("/nonexistent"),
    )


def mistakes(text: str, *, insecure: bool = False, environment: dict[str, str] | None = None) -> list[str]:
    """All that is wrong with it, as lines."""
    with pytest.raises(ConfigInvalid) as caught:
        made(text, insecure=insecure, environment=environment)
    return [str(each) for each in caught.value.mistakes]


def model(name: str, *, fallbacks: tuple[str, ...] = (), more: str = "") -> str:
    """A [[models]] table in front of `up`."""
    listed = ", ".join(f'"{each}"' for each in fallbacks)
    return (
        f'[[models]]\nname = "{name}"\ntargets = [{{ provider = "up", model = "x" }}]\n'
        f"fallbacks = [{listed}]\n{more}\n"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "prot = 1", "prot: found an unknown key; expected one of server, store", id="unknown-section"
        ),
        pytest.param("[servr]", 'servr: found an unknown key; expected "server"', id="section-mistyped"),
        pytest.param(
            "[server]\nprot = 1", 'server.prot: found an unknown key; expected "port"', id="key-mistyped"
        ),
        pytest.param(
            '[[providers]]\nname = "a"\nkind = "sim"\nurl = "x"',
            "providers[1].url: found an unknown key; expected one of name, kind, base_url",
            id="unknown-key-in-a-list",
        ),
        pytest.param(
            '[[models]]\nname = "m"\ntargets = [{ provider = "up", model = "x", wieght = 1 }]',
            'models[0].targets[0].wieght: found an unknown key; expected "weight"',
            id="unknown-key-in-a-target",
        ),
        pytest.param('server = "x"', "server: found text; expected a table", id="a-section-that-is-no-table"),
        pytest.param(
            "[models]", "models: found a table; expected a list of tables: [[models]]", id="single-bracket"
        ),
        pytest.param(
            '[server]\nport = "80"', 'server.port: found "80"; expected a whole number', id="text-for-number"
        ),
        pytest.param(
            "[server]\nport = 80.5", "server.port: found 80.5; expected a whole number", id="fraction"
        ),
        pytest.param(
            "[server]\nport = true", "server.port: found true; expected a whole number", id="bool-for-number"
        ),
        pytest.param(
            "[server]\nport = 65536",
            "server.port: found 65536; expected a whole number from 0 to 65535",
            id="port-too-large",
        ),
        pytest.param(
            "[server]\nport = -1", "server.port: found -1; expected a whole number from 0", id="port-negative"
        ),
        pytest.param(
            "[server]\nworkers = 0", "server.workers: found 0; expected a whole number from 1", id="no-worker"
        ),
        pytest.param(
            "[server]\nmetrics_open = 1", "server.metrics_open: found 1; expected true or false", id="no-bool"
        ),
        pytest.param(
            '[server]\nhost = "a b"', 'server.host: found "a b"; expected an IP address or', id="no-host"
        ),
        pytest.param(
            '[server]\nroot_path = "x"', 'server.root_path: found "x"; expected "" or a path', id="root-path"
        ),
        pytest.param(
            '[server]\nroot_path = "/x/"',
            'server.root_path: found "/x/"; expected "" or a path',
            id="root-path-slash",
        ),
        pytest.param(
            '[server]\ncors_allow_origins = ["https://a.b/"]',
            'server.cors_allow_origins: found "https://a.b/"; expected "*" or an origin',
            id="origin-with-a-slash",
        ),
        pytest.param(
            '[server]\ncors_allow_origins = "*"',
            'server.cors_allow_origins: found "*"; expected a list of texts',
            id="origins-not-in-a-list",
        ),
        pytest.param(
            '[server]\ntrusted_proxies = ["10.0.0.1/8"]',
            'server.trusted_proxies: found "10.0.0.1/8"; expected an address or a network',
            id="network-with-host-bits",
        ),
        pytest.param(
            "[timeouts]\nidle_seconds = 0",
            "timeouts.idle_seconds: found 0; expected a number above 0",
            id="0-s",
        ),
        pytest.param(
            "[timeouts]\nidle_seconds = nan", "timeouts.idle_seconds: found nan; expected a number", id="nan"
        ),
        pytest.param(
            "[timeouts]\nidle_seconds = inf", "timeouts.idle_seconds: found inf; expected a number", id="inf"
        ),
        pytest.param(
            f"[timeouts]\nidle_seconds = {'9' * 400}",
            "timeouts.idle_seconds: found a number with very many digits; expected a number",
            id="beyond-any-float",
        ),
        pytest.param(
            "[server]\nport = 2026-01-01",
            "server.port: found a date or time; expected a whole number",
            id="a-date",
        ),
        pytest.param(
            "[retries]\nmax_attempts = 0",
            "retries.max_attempts: found 0; expected a whole number",
            id="0-attempts",
        ),
        pytest.param(
            "[streams]\nmax_bytes_total = 0",
            "streams.max_bytes_total: found 0; expected a whole number",
            id="0-bytes",
        ),
        pytest.param(
            '[[providers]]\nname = "a/b"\nkind = "sim"',
            'providers[1].name: found "a/b"; expected letters, digits, ".", "_" and "-"',
            id="slash-in-a-provider",
        ),
        pytest.param(
            '[[providers]]\nname = "a"\nkind = "ollama"',
            'providers[1].kind: found "ollama"; expected "anthropic", "openai" or "sim"',
            id="unknown-kind",
        ),
        pytest.param(
            '[[providers]]\nkind = "sim"', "providers[1].name: found nothing; expected letters", id="no-name"
        ),
        pytest.param(
            UP, 'providers[1].name: found "up"; expected a name of its own: providers[0]', id="provider-twice"
        ),
        pytest.param(
            '[[providers]]\nname = "a"\nkind = "openai"\nbase_url = "127.0.0.1:9000"',
            'providers[1].base_url: found "127.0.0.1:9000"; expected an address such as',
            id="address-without-a-scheme",
        ),
        pytest.param(
            '[[providers]]\nname = "a"\nkind = "openai"\nbase_url = "http://h:99999"',
            'providers[1].base_url: found "http://h:99999"; expected an address such as',
            id="address-with-an-impossible-port",
        ),
        pytest.param(
            '[[providers]]\nname = "a"\nkind = "openai"\nbase_url = "http://h/\\r\\nX: y"',
            'providers[1].base_url: found "http://h/??X: y"; expected an address such as',
            id="address-that-would-break-a-header",
        ),
        pytest.param(
            '[[providers]]\nname = "a"\nkind = "sim"\nbase_url = "http://h"',
            'providers[1].base_url: found "http://h"; expected nothing: sim has no address',
            id="address-for-sim",
        ),
        pytest.param(
            '[[models]]\nname = ""\ntargets = [{ provider = "up", model = "x" }]',
            'models[0].name: found ""; expected printable ASCII text',
            id="model-without-a-name",
        ),
        pytest.param(
            '[[models]]\nname = "m\\n"\ntargets = [{ provider = "up", model = "x" }]',
            'models[0].name: found "m?"; expected printable ASCII text',
            id="model-name-that-would-break-a-header",
        ),
        pytest.param(
            '[[models]]\nname = "m"\ntargets = []', "models[0].targets: found an empty list", id="no-target"
        ),
        pytest.param(
            '[[models]]\nname = "m"',
            "models[0].targets: found nothing; expected a list of tables",
            id="targets",
        ),
        pytest.param(
            '[[models]]\nname = "m"\ntargets = [{ provider = "gone", model = "x" }]',
            'models[0].targets: found the provider "gone"; expected a provider\'s name: "up"',
            id="target-of-no-provider",
        ),
        pytest.param(
            '[[models]]\nname = "m"\ntargets = [{ provider = "up", model = "x", weight = 0 }]',
            "models[0].targets: found only weights of 0; expected one weight above 0 at least",
            id="only-weights-of-0",
        ),
        pytest.param(
            '[[models]]\nname = "m"\ntargets = [{ provider = "up", model = "x", weight = -1 }]',
            "models[0].targets[0].weight: found -1; expected a number from 0",
            id="negative-weight",
        ),
        pytest.param(
            model("m", more="price = { input = 1 }"),
            "models[0].price.output: found nothing; expected a number from 0",
            id="half-a-price",
        ),
        pytest.param(
            model("m") + model("m"),
            'models[1].name: found "m"; expected a name of its own: models[0]',
            id="model-twice",
        ),
        pytest.param(
            model("m", fallbacks=("gone",)) + model("n"),
            'models[0].fallbacks: found "gone"; expected the name of another model: "n"',
            id="fallback-to-nothing",
        ),
        pytest.param(
            model("m", fallbacks=("m",)),
            'models[0].fallbacks: found "m" → "m"; expected fallbacks that don\'t lead back',
            id="fallback-to-itself",
        ),
        pytest.param(
            model("a", fallbacks=("b",)) + model("b", fallbacks=("c",)) + model("c", fallbacks=("a",)),
            'models[0].fallbacks: found "a" → "b" → "c" → "a"; expected fallbacks that don\'t lead back',
            id="fallbacks-in-a-circle",
        ),
        pytest.param(
            "[server]\nworkers = 2",
            "server.workers: found 2; expected 1, or store.redis, which several workers share",
            id="workers-without-redis",
        ),
        pytest.param(
            '[store]\ndatabase = "x.db"', 'store.database: found "x.db"; expected "sqlite:///', id="database"
        ),
        pytest.param(
            '[store]\nredis = "h:6379"', 'store.redis: found "h:6379"; expected "redis://HOST', id="redis"
        ),
        pytest.param("[auth]\nrequired = 1", "auth.required: found 1; expected true or false", id="auth"),
        pytest.param(
            '[server]\nhost = "0.0.0.0"',
            'server.host: found "0.0.0.0"; expected "127.0.0.1", a key (penstock keys create)',
            id="open-to-the-network",
        ),
        pytest.param(
            "[limits.key]\nrequests_per_minute = 0",
            "limits.key.requests_per_minute: found 0; expected a whole number from 1 to",
            id="limits",
        ),
        pytest.param(
            "[limits.key]\nburst = 3",
            "limits.key.burst: found 3; expected requests_per_minute beside it",
            id="a-burst-of-nothing",
        ),
        pytest.param(
            '[limits.models.fast]\nbudgets = [{ usd = 1, tokens = 1, per = "day" }]',
            "limits.models.fast.budgets[0]: found both usd and tokens; expected exactly one of",
            id="a-budget-of-both",
        ),
        pytest.param(
            '[limits.routes."/v1/embedings"]\nrequests_per_minute = 3',
            'limits.routes: found "/v1/embedings"; expected one of /v1/chat/completions',
            id="a-limit-on-no-route",
        ),
        pytest.param(
            "[limits]\nmodels = 3",
            "limits.models: found a number; expected a table of tables",
            id="limits-by-name-that-are-none",
        ),
        pytest.param('[auth.jwt]\naudience = "a"', "auth.jwt.issuer: found nothing; expected text", id="jwt"),
        pytest.param(
            "[webhooks]", "webhooks: found a setting of a later version; expected that it", id="webhooks"
        ),
    ],
)
def test_one_mistake_is_one_line_with_place_finding_and_remedy(text: str, line: str) -> None:
    """The text stands after a file's provider `up`, and top-level keys before it."""
    section = text.startswith("[")
    (only,) = mistakes(f"{UP}{text}" if section else f"{text}\n{UP}")
    assert only.startswith(f"penstock.toml: {line}")


def test_all_mistakes_are_told_at_once() -> None:
    """Wrong keys, wrong types, wrong references and wrong combinations, in one go."""
    text = f"""
        [server]
        prot = 1
        port = "x"
        workers = 2
        [auth]
        required = "yes"
        {UP}
        [[models]]
        name = "m"
        targets = [{{ provider = "gone", model = "x" }}]
        fallbacks = ["nowhere"]
    """
    places = [line.split(": found")[0].removeprefix("penstock.toml: ") for line in mistakes(text)]
    assert sorted(places) == [
        "auth.required",
        "models[0].fallbacks",
        "models[0].targets",
        "server.port",
        "server.prot",
        "server.workers",
    ]


def test_a_mistake_in_a_provider_is_not_told_again_by_its_models() -> None:
    """The model names a provider that was written, if wrongly."""
    (line,) = mistakes(f"{UP.replace('9000', '99999')}{model('m')}")
    assert "providers[0].base_url" in line
    (line,) = mistakes(f"{UP.replace('openai', 'olama')}{model('m')}")
    assert "providers[0].kind" in line


def test_a_file_without_providers_says_what_to_write() -> None:
    """Neither a provider in the file nor a key in the environment: nobody could answer."""
    (line,) = mistakes("[server]\nport = 1")
    assert line.startswith("penstock.toml: providers: found none; expected [[providers]] with name and kind")


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        pytest.param("PENSTOCK_PORT", "x", 'PENSTOCK_PORT: found "x"; expected a whole number', id="port"),
        pytest.param("PENSTOCK_WORKERS", "2", "PENSTOCK_WORKERS: found 2; expected 1, or", id="workers"),
        pytest.param("PENSTOCK_HOST", "::", 'PENSTOCK_HOST: found "::"; expected "127.0.0.1"', id="host"),
        pytest.param("PENSTOCK_REDIS", "x", 'PENSTOCK_REDIS: found "x"; expected "redis://', id="redis"),
    ],
)
def test_a_wrong_variable_is_named_in_place_of_the_file(variable: str, value: str, line: str) -> None:
    (only,) = mistakes(SIM, environment={variable: value})
    assert only.startswith(line)


def test_insecure_no_auth_allows_what_keys_would_guard() -> None:
    """The operator said so; the other rules hold still."""
    settings = made(f'{SIM}[server]\nhost = "0.0.0.0"\n[auth]\nrequired = true\n', insecure=True)
    assert settings.insecure_no_auth
    (line,) = mistakes(f'{SIM}[server]\nhost = "0.0.0.0"\nworkers = 2', insecure=True)
    assert "server.workers" in line


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_no_permission(host: str) -> None:
    """All of 127.0.0.0/8, and the name that stands for it."""
    assert made(f'{SIM}[server]\nhost = "{host}"\n').server.host == host


def test_a_long_chain_of_fallbacks_is_no_circle() -> None:
    """Nor two ways to the same model, nor a chain longer than Python's stack."""
    names = [f"m{number}" for number in range(1_200)]
    chain = "".join(model(a, fallbacks=(b,)) for a, b in itertools.pairwise(names))
    diamond = model("a", fallbacks=("m0", "m1")) + model(names[-1])
    assert len(made(UP + chain + diamond).models) == 1_201
