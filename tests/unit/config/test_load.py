"""Where a setting comes from, and that nothing but Settings or ConfigInvalid ever comes out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import ConfigInvalid, Mistake, Settings, load
from service.config.load import settings_from


def loaded(directory: Path, **changes: Any) -> Settings:
    """`load` in `directory` with nothing given but `changes`."""
    given_here: dict[str, Any] = {
        "config_path": None,
        "environment": {},
        "overrides": {},
        "insecure_no_auth": False,
        "working_directory": directory,
    }
    return load(**given_here | changes)


def mistaken(directory: Path, **changes: Any) -> list[str]:
    """The mistakes of such a load as lines."""
    with pytest.raises(ConfigInvalid) as caught:
        loaded(directory, **changes)
    return [str(mistake) for mistake in caught.value.mistakes]


SIM = '[[providers]]\nname = "sim"\nkind = "sim"\n'


def test_without_file_and_environment_the_simulated_provider_serves_on_loopback(tmp_path: Path) -> None:
    """No configuration at all is a configuration."""
    settings = loaded(tmp_path)
    assert [(provider.name, provider.kind) for provider in settings.providers] == [("sim", "sim")]
    assert (settings.server.host, settings.server.port, settings.server.workers) == ("127.0.0.1", 8000, 1)
    assert settings.source is None


@pytest.mark.parametrize(
    ("file_port", "environment", "overrides", "port"),
    [
        pytest.param(None, {}, {}, 8000, id="default-without-anything"),
        pytest.param(9001, {}, {}, 9001, id="file-beats-default"),
        pytest.param(9001, {"PENSTOCK_PORT": "9002"}, {}, 9002, id="environment-beats-file"),
        pytest.param(9001, {"PENSTOCK_PORT": ""}, {}, 9001, id="an-empty-variable-is-not-set"),
        pytest.param(9001, {"PENSTOCK_PORT": "9002"}, {"server.port": 9003}, 9003, id="flag-beats-all"),
        pytest.param(9001, {}, {"server.port": None}, 9001, id="a-flag-not-given-changes-nothing"),
        pytest.param(None, {"PENSTOCK_PORT": "9002"}, {}, 9002, id="environment-without-a-file"),
    ],
)
def test_flags_beat_environment_beats_file_beats_defaults(
    tmp_path: Path,
    file_port: int | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, object],
    port: int,
) -> None:
    if file_port is not None:
        (tmp_path / "penstock.toml").write_text(f"{SIM}[server]\nport = {file_port}\n")
    assert loaded(tmp_path, environment=environment, overrides=overrides).server.port == port


def test_each_variable_sets_its_setting(tmp_path: Path) -> None:
    """All of PENSTOCK_* at once, read from text to the setting's type."""
    environment = {
        "PENSTOCK_HOST": "localhost",
        "PENSTOCK_PORT": "1",
        "PENSTOCK_WORKERS": "2",
        "PENSTOCK_ADMIN_KEY": "admin-key",
        "PENSTOCK_DATABASE": "sqlite:///elsewhere.db",
        "PENSTOCK_REDIS": "redis://localhost:6379/0",
    }
    settings = loaded(tmp_path, environment=environment)
    assert (settings.server.host, settings.server.port, settings.server.workers) == ("localhost", 1, 2)
    assert settings.auth.admin_key is not None and settings.auth.admin_key.reveal() == "admin-key"
    assert settings.store.database == "sqlite:///elsewhere.db"
    assert settings.store.redis == "redis://localhost:6379/0"


@pytest.mark.parametrize(
    ("flag", "environment", "source"),
    [
        pytest.param(None, {}, "penstock.toml", id="the-usual-file"),
        pytest.param(None, {"PENSTOCK_CONFIG": "b.toml"}, "b.toml", id="the-variable-beats-the-usual-file"),
        pytest.param(
            Path("c.toml"), {"PENSTOCK_CONFIG": "b.toml"}, "c.toml", id="the-flag-beats-the-variable"
        ),
    ],
)
def test_which_file_is_read(
    tmp_path: Path, flag: Path | None, environment: Mapping[str, str], source: str
) -> None:
    for name in ("penstock.toml", "b.toml", "c.toml"):
        (tmp_path / name).write_text(f'{SIM}[server]\nroot_path = "/{name}"\n')
    settings = loaded(tmp_path, config_path=flag, environment=environment)
    assert (settings.source, settings.server.root_path) == (source, f"/{source}")


@pytest.mark.parametrize(
    ("flag", "environment", "place"),
    [
        pytest.param(Path("gone.toml"), {}, "--config", id="named-by-the-flag"),
        pytest.param(None, {"PENSTOCK_CONFIG": "gone.toml"}, "PENSTOCK_CONFIG", id="named-by-the-variable"),
    ],
)
def test_a_named_file_that_is_missing_is_a_mistake(
    tmp_path: Path, flag: Path | None, environment: Mapping[str, str], place: str
) -> None:
    (line,) = mistaken(tmp_path, config_path=flag, environment=environment)
    assert line.startswith(f"{place}: found gone.toml, which can't be read (No such file or directory)")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(b"[server\nport = 1", "no TOML", id="syntax"),
        pytest.param(b"[server]\nport = 1\nport = 2", "no TOML", id="a-key-twice"),
        pytest.param(b"name = '\xff'", "a byte that is not UTF-8 at position 8", id="not-utf-8"),
        pytest.param(b"x = " + b"[" * 100_000, "no TOML", id="nested-beyond-reason"),
        pytest.param(b"x = " + b"9" * 10_000, "no TOML", id="a-number-python-refuses-to-read"),
    ],
)
def test_a_file_that_is_no_toml_is_one_mistake_that_names_it(
    tmp_path: Path, content: bytes, found: str
) -> None:
    (tmp_path / "penstock.toml").write_bytes(content)
    (line,) = mistaken(tmp_path)
    assert line.startswith(f"penstock.toml: found {found}")


def test_keys_in_the_environment_bring_their_providers(tmp_path: Path) -> None:
    """Without a file, as the SDKs would read the same variables."""
    environment = {
        "OPENAI_API_KEY": "sk-1",
        "OPENAI_BASE_URL": "http://127.0.0.1:9000/v1/",
        "ANTHROPIC_API_KEY": "sk-2",
    }
    sim, openai, anthropic = loaded(tmp_path, environment=environment).providers
    assert sim.kind == "sim"
    assert (openai.name, openai.base_url) == ("openai", "http://127.0.0.1:9000/v1")
    assert (anthropic.name, anthropic.base_url) == ("anthropic", "https://api.anthropic.com")
    assert openai.api_key is not None and openai.api_key.reveal() == "sk-1"
    assert anthropic.api_key is not None and anthropic.api_key.reveal() == "sk-2"


def test_an_empty_key_in_the_environment_brings_no_provider(tmp_path: Path) -> None:
    """Shells and compose files leave such variables behind."""
    assert len(loaded(tmp_path, environment={"OPENAI_API_KEY": ""}).providers) == 1


def test_beside_a_file_the_environments_providers_exist_but_the_simulated_one_does_not(
    tmp_path: Path,
) -> None:
    """`sim` exists where there is no file, or where it is configured."""
    (tmp_path / "penstock.toml").write_text("[server]\nport = 1\n")
    settings = loaded(tmp_path, environment={"OPENAI_API_KEY": "sk-1"})
    assert [provider.name for provider in settings.providers] == ["openai"]


def test_a_provider_in_the_file_beats_the_environments_of_that_name(tmp_path: Path) -> None:
    """The file says where `openai` is; the variable must not add a second one."""
    (tmp_path / "penstock.toml").write_text(
        '[[providers]]\nname = "openai"\nkind = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'
    )
    (openai,) = loaded(tmp_path, environment={"OPENAI_API_KEY": "sk-1"}).providers
    assert (openai.base_url, openai.api_key) == ("http://127.0.0.1:1/v1", None)


@pytest.mark.parametrize(
    ("kind", "written", "normalised"),
    [
        pytest.param("openai", "http://h:1/v1", "http://h:1/v1", id="openai-as-written"),
        pytest.param("openai", "http://h:1/v1//", "http://h:1/v1", id="openai-slashes-at-the-end"),
        pytest.param("openai", "", "https://api.openai.com/v1", id="openai-default"),
        pytest.param("anthropic", "http://h:1", "http://h:1", id="anthropic-without-v1"),
        pytest.param("anthropic", "http://h:1/v1/", "http://h:1", id="anthropic-with-v1"),
        pytest.param("anthropic", "http://h/a/v1", "http://h/a", id="anthropic-below-a-path"),
        pytest.param("anthropic", "", "https://api.anthropic.com", id="anthropic-default"),
        pytest.param("openai", "http://[::1]:9000/v1", "http://[::1]:9000/v1", id="an-ipv6-address"),
    ],
)
def test_base_urls_are_normalised(tmp_path: Path, kind: str, written: str, normalised: str) -> None:
    text = f'[[providers]]\nname = "up"\nkind = "{kind}"\nbase_url = "{written}"\n'
    (tmp_path / "penstock.toml").write_text(text)
    assert loaded(tmp_path).providers[0].base_url == normalised


# Keys that mean something are drawn often, so that junk reaches the rules behind them.
KEYS = st.sampled_from(
    [
        *("server", "port", "host", "workers", "cors_allow_origins", "store", "redis", "database", "auth"),
        *("admin_key", "required", "providers", "name", "kind", "base_url", "api_key", "models", "targets"),
        *("provider", "model", "weight", "fallbacks", "price", "input", "output", "timeouts", "idle_seconds"),
    ]
) | st.text(max_size=5)
VALUES = (
    st.sampled_from(["up", "sim", "openai", "anthropic", "http://h/v1", "env:GONE", "file:gone", "redis://h"])
    | st.text(max_size=12)
    | st.integers()
    | st.integers(min_value=10**320, max_value=10**330)
    | st.floats()
    | st.booleans()
    | st.dates()
)
JUNK = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(document=st.dictionaries(KEYS, JUNK, max_size=5), port=st.text(max_size=6), insecure=st.booleans())
def test_any_document_gives_settings_or_its_mistakes(
    document: dict[str, object], port: str, insecure: bool
) -> None:
    """Nothing else is ever raised, and each mistake says where, what and what instead."""
    mistakes: tuple[Mistake, ...] | None = None
    try:
        settings_from(
            document,
            source="penstock.toml",
            environment={"PENSTOCK_PORT": port, "OPENAI_API_KEY": "sk-1"},
            overrides={},
            insecure_no_auth=insecure,
            working_directory=Path("/nonexistent"),
        )
    except ConfigInvalid as invalid:
        mistakes = invalid.mistakes
    assert mistakes is None or mistakes
    assert all(each.place and each.found and each.expected for each in mistakes or ())


def test_the_usual_file_that_was_there_before_must_be_there_again(tmp_path: Path) -> None:
    """Without it, a server would go on with the defaults, which let anybody in."""
    (mistake,) = mistaken(tmp_path, has_file=True)
    assert mistake.startswith("penstock.toml: found penstock.toml, which can't be read (No such file")
