"""The only reader of the configuration file and the environment: flags > environment > file > defaults.

Every mistake is reported at once, as `ConfigInvalid`; nothing else is raised, whatever the file holds.
"""

import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from service.config.mistakes import ConfigInvalid, Mistake
from service.config.reading import Reader, join
from service.config.rules import Draft, check, needs_callers
from service.config.secret import resolve
from service.config.settings import Model, Provider, Sections, Settings, Store
from service.config.urls import normalised_base_url

DEFAULT_FILE: Final = "penstock.toml"

VARIABLES: Final = {
    "PENSTOCK_HOST": "server.host",
    "PENSTOCK_PORT": "server.port",
    "PENSTOCK_WORKERS": "server.workers",
    "PENSTOCK_ADMIN_KEY": "auth.admin_key",
    "PENSTOCK_DATABASE": "store.database",
    "PENSTOCK_REDIS": "store.redis",
}
"""Environment variables and the settings that they override. One that is empty counts as not set."""

PROVIDER_VARIABLES: Final = {
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
}
"""Providers (name and kind) that exist where their key's variable is set, as the SDKs read them."""

HasKeys = Callable[[Store], bool]

Document = dict[str, object]
"""A TOML document: anything may stand anywhere until `Reader` has looked at it."""


class Layers:
    """The document that all sources make together, and which keys did not come from the file.

    origins: by path (`server.port`), the variable or flag that won.
    """

    def __init__(self, document: Mapping[str, object]) -> None:
        self.document: Document = dict(document)
        self.origins: dict[str, str] = {}

    def put(self, path: str, value: object, origin: str) -> None:
        """Override one key. A section that isn't a table stays, to be reported as such."""
        name, _, key = path.partition(".")
        section = self.document.get(name, {})
        if isinstance(section, dict):
            self.document[name] = {**section, key: value}
            self.origins[path] = origin

    def add_provider(self, provider: Mapping[str, str], origins: Mapping[str, str]) -> None:
        """Append a provider, unless the file names one so."""
        written = self.document.get("providers", [])
        if isinstance(written, list) and provider["name"] not in names(written):
            place = f"providers[{len(written)}]"
            self.document["providers"] = [*written, dict(provider)]
            self.origins |= {join(place, key): origin for key, origin in origins.items()}


def load(
    *,
    config_path: Path | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, object],
    insecure_no_auth: bool,
    working_directory: Path,
    has_keys: HasKeys = lambda store: False,
    has_file: bool = False,
) -> Settings:
    """Read the file, the environment and the flags, and check all of it.

    config_path: `--config`; None looks for `PENSTOCK_CONFIG`, then `penstock.toml` in `working_directory`.
    overrides: flags by setting (`{"server.port": 8001}`); None means that the flag was not given.
    has_keys: whether a database holds a key; asked only where that decides something.
    has_file: `penstock.toml` is wanted, too: it was there before.
    Raises ConfigInvalid with every mistake.
    """
    path, named_by = _file(config_path, environment, working_directory, has_file=has_file)
    document = {} if path is None else read_document(working_directory / path, str(path), named_by)
    return settings_from(
        document,
        source=None if path is None else str(path),
        environment=environment,
        overrides=overrides,
        insecure_no_auth=insecure_no_auth,
        working_directory=working_directory,
        has_keys=has_keys,
    )


def settings_from(
    document: Mapping[str, object],
    *,
    source: str | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, object],
    insecure_no_auth: bool,
    working_directory: Path,
    has_keys: HasKeys = lambda store: False,
) -> Settings:
    """`load` once the file was read: `document` is what it held, `source` its name (None: no file)."""
    layers = Layers(document)
    _add_providers(layers, environment, has_file=source is not None)
    _override(layers, environment, overrides)
    secret = partial(resolve, environment=environment, working_directory=working_directory)
    reader = Reader(source or "defaults", layers.origins, secret)
    draft = _read(reader, layers.document, insecure_no_auth, source)
    if needs_callers(draft.settings):
        draft = msgspec.structs.replace(draft, keys_exist=has_keys(draft.settings.store))
    for wrong in check(draft):
        reader.mistake(*wrong)
    if reader.mistakes:
        raise ConfigInvalid(tuple(dict.fromkeys(reader.mistakes)))
    return draft.settings


def read_document(path: Path, name: str, named_by: str) -> Document:
    """The file as TOML. Raises ConfigInvalid: not there, not readable, not TOML.

    name: as the operator wrote it. named_by: the flag or variable that named it.
    """
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as fault:
        found = f"{name}, which can't be read ({fault.strerror})"
        mistake = Mistake(named_by, found, "a readable TOML file")
    except UnicodeDecodeError as fault:
        mistake = Mistake(name, f"a byte that is not UTF-8 at position {fault.start}", "UTF-8 text")
    except (ValueError, RecursionError) as fault:
        mistake = Mistake(name, f"no TOML: {fault}", "TOML 1.0 (https://toml.io)")
    raise ConfigInvalid((mistake,))


def names(tables: list[object]) -> frozenset[str]:
    """The names written in a list of tables, those of wrong tables too."""
    written = (table.get("name") for table in tables if isinstance(table, dict))
    return frozenset(name for name in written if isinstance(name, str))


def _file(
    config_path: Path | None, environment: Mapping[str, str], working_directory: Path, *, has_file: bool
) -> tuple[Path | None, str]:
    """The file to read and what named it. A named one that is missing is a mistake; the usual one only with has_file."""
    if config_path is not None:
        return config_path, "--config"
    if named := environment.get("PENSTOCK_CONFIG"):
        return Path(named), "PENSTOCK_CONFIG"
    there = has_file or (working_directory / DEFAULT_FILE).exists()
    return (Path(DEFAULT_FILE) if there else None), DEFAULT_FILE


def _add_providers(layers: Layers, environment: Mapping[str, str], *, has_file: bool) -> None:
    if not has_file:
        layers.add_provider({"name": "sim", "kind": "sim"}, {})
    for name, (key_variable, url_variable) in PROVIDER_VARIABLES.items():
        if environment.get(key_variable):
            provider = {"name": name, "kind": name, "api_key": f"env:{key_variable}"}
            provider["base_url"] = environment.get(url_variable, "")
            layers.add_provider(provider, {"api_key": key_variable, "base_url": url_variable})


def _override(layers: Layers, environment: Mapping[str, str], overrides: Mapping[str, object]) -> None:
    for variable, path in VARIABLES.items():
        if value := environment.get(variable):
            layers.put(path, value, variable)
    for path, flag in overrides.items():
        if flag is not None:
            layers.put(path, flag, f"--{path.rpartition('.')[2].replace('_', '-')}")


def _read(reader: Reader, document: Document, insecure_no_auth: bool, source: str | None) -> Draft:
    sections = Sections.__struct_fields__
    reader.refuse_unknown(document, sections, "")
    providers = reader.tables(Provider, document.get("providers", []), "providers")
    models = reader.tables(Model, document.get("models", []), "models")
    if not document.get("providers", []):
        wanted = (
            '[[providers]] with name and kind (name = "sim", kind = "sim" needs no key), or OPENAI_API_KEY'
        )
        reader.mistake("providers", "none", wanted)
    providers = {path: _normalised(each) for path, each in providers.items()}
    single = {name: document[name] for name in sections if name in document and name not in _LISTS}
    read = reader.table(Sections, single, "") or Sections()
    settings = Settings(
        server=read.server,
        store=read.store,
        auth=read.auth,
        timeouts=read.timeouts,
        retries=read.retries,
        streams=read.streams,
        limits=read.limits,
        usage=read.usage,
        providers=tuple(providers.values()),
        models=tuple(models.values()),
        insecure_no_auth=insecure_no_auth,
        source=source,
    )
    return Draft(settings, providers, models, _written(document, "providers"), _written(document, "models"))


_LISTS: Final = ("providers", "models")


def _written(document: Document, section: str) -> frozenset[str]:
    tables = document.get(section, [])
    return names(tables) if isinstance(tables, list) else frozenset()


def _normalised(provider: Provider) -> Provider:
    return msgspec.structs.replace(provider, base_url=normalised_base_url(provider.kind, provider.base_url))
