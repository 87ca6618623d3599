"""What must hold between settings, or what a type can't say. Pure: a draft in, what is wrong out.

A new rule is a generator and a row in RULES.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from msgspec import Struct

from service.config import urls
from service.config.jwt_rules import jwt_mistakes
from service.config.limits import limit_mistakes
from service.config.mistakes import shown
from service.config.settings import Model, Provider, Settings

_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")
DATABASE_SCHEMES: Final = ("sqlite", "postgresql")
ROUTES: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/chat",
    "/chat/batch",
    "/stream",
)
"""What `limits.routes` may name: a limit on a route that is never metered would be none."""
NO_FILES: Final = ("sqlite:", "sqlite://", "sqlite:///", "sqlite:///:memory:")
"""SQLite without a file: each connection would have a database of its own."""
REDIS_SCHEMES: Final = ("redis", "rediss")


class Wrong(NamedTuple):
    """One mistake, with the path (`server.port`) that `Reader.mistake` makes a place of."""

    path: str
    found: str
    expected: str


class Draft(Struct, frozen=True):
    """Settings whose parts are each right, before they are checked against each other.

    providers, models: by path (`providers[0]`), without those that are wrong in themselves.
    provider_names, model_names: all that were written, so that one mistake is not told twice.
    keys_exist: whether the database holds a key, asked only where `needs_callers` says so.
    """

    settings: Settings
    providers: Mapping[str, Provider]
    models: Mapping[str, Model]
    provider_names: frozenset[str]
    model_names: frozenset[str]
    keys_exist: bool = False


def needs_callers(settings: Settings) -> bool:
    """Whether others can reach the server, and only a key in the database would keep them out."""
    host, auth = settings.server.host, settings.auth
    known = settings.insecure_no_auth or auth.admin_key is not None or auth.jwt is not None
    return not known and urls.is_host(host) and not urls.is_loopback(host)


def check(draft: Draft) -> Iterator[Wrong]:
    """All that is wrong, in the order of the sections."""
    for rule in RULES:
        yield from rule(draft)


def _server(draft: Draft) -> Iterator[Wrong]:
    server = draft.settings.server
    if not urls.is_host(server.host):
        yield Wrong("server.host", shown(server.host), "an IP address or a host's name")
    if server.workers > 1 and draft.settings.store.redis is None:
        yield Wrong("server.workers", str(server.workers), "1, or store.redis, which several workers share")
    if not _ROOT_PATH.fullmatch(server.root_path):
        yield Wrong("server.root_path", shown(server.root_path), '"" or a path such as "/gateway"')
    for origin in server.cors_allow_origins:
        if not urls.is_origin(origin):
            wanted = '"*" or an origin such as "https://app.example.com", without a slash at its end'
            yield Wrong("server.cors_allow_origins", shown(origin), wanted)
    for network in server.trusted_proxies:
        if not urls.is_network(network):
            wanted = 'an address or a network such as "10.0.0.0/8", no bits set behind its prefix'
            yield Wrong("server.trusted_proxies", shown(network), wanted)


def _store(draft: Draft) -> Iterator[Wrong]:
    store = draft.settings.store
    if urls.split(store.database, DATABASE_SCHEMES) is None or store.database in NO_FILES:
        wanted = '"sqlite:///FILE" or "postgresql://USER:PASSWORD@HOST/NAME"'
        yield Wrong("store.database", shown(store.database), wanted)
    if store.redis is not None:
        parts = urls.split(store.redis, REDIS_SCHEMES)
        if parts is None or not parts.hostname:
            yield Wrong("store.redis", shown(store.redis), '"redis://HOST:PORT/NUMBER" or "rediss://…"')


def _auth(draft: Draft) -> Iterator[Wrong]:
    settings = draft.settings
    if needs_callers(settings) and not draft.keys_exist:
        wanted = (
            '"127.0.0.1", a key (penstock keys create), auth.admin_key, or --insecure-no-auth:'
            " others could call without a key"
        )
        yield Wrong("server.host", shown(settings.server.host), wanted)
    if settings.auth.jwt is not None:
        for key, found, wanted in jwt_mistakes(settings.auth.jwt):
            yield Wrong(f"auth.jwt.{key}", found, wanted)


def _limits(draft: Draft) -> Iterator[Wrong]:
    limits = draft.settings.limits
    for route in limits.routes:
        if route not in ROUTES:
            yield Wrong("limits.routes", shown(route), f"one of {', '.join(ROUTES)}")
    tables = {name: getattr(limits, name) for name in ("anonymous", "key", "user", "tenant")}
    tables |= {f"models.{name}": each for name, each in limits.models.items()}
    tables |= {f"routes.{name}": each for name, each in limits.routes.items()}
    for name, each in tables.items():
        for key, found, wanted in limit_mistakes(each):
            yield Wrong(f"limits.{name}.{key}", found, wanted)


def _providers(draft: Draft) -> Iterator[Wrong]:
    yield from _named_twice(draft.providers)
    for path, provider in draft.providers.items():
        if provider.kind == "sim":
            if provider.base_url:
                yield Wrong(f"{path}.base_url", shown(provider.base_url), "nothing: sim has no address")
        elif not urls.is_provider_address(provider.base_url):
            wanted = 'an address such as "http://127.0.0.1:9000/v1"; credentials belong into api_key'
            yield Wrong(f"{path}.base_url", shown(provider.base_url), wanted)


def _models(draft: Draft) -> Iterator[Wrong]:
    yield from _named_twice(draft.models)
    for path, model in draft.models.items():
        for target in model.targets:
            if target.provider not in draft.provider_names:
                wanted = _one_of(draft.provider_names, "a provider's name")
                yield Wrong(f"{path}.targets", f"the provider {shown(target.provider)}", wanted)
        if not any(target.weight for target in model.targets):
            yield Wrong(f"{path}.targets", "only weights of 0", "one weight above 0 at least")


def _fallbacks(draft: Draft) -> Iterator[Wrong]:
    for path, model in draft.models.items():
        for name in model.fallbacks:
            if name not in draft.model_names:
                wanted = _one_of(draft.model_names - {model.name}, "the name of another model")
                yield Wrong(f"{path}.fallbacks", shown(name), wanted)
    fallbacks = {model.name: model.fallbacks for model in draft.models.values()}
    paths = {model.name: path for path, model in draft.models.items()}
    for circle in _circles(fallbacks):
        around = " → ".join(shown(name) for name in (*circle, circle[0]))
        yield Wrong(f"{paths[circle[0]]}.fallbacks", around, "fallbacks that don't lead back")


def _circles(fallbacks: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Ways that lead back to where they began; of several through one model only the first."""
    told: set[str] = set()
    for start in fallbacks:
        circle = _way_back(start, fallbacks)
        if told.isdisjoint(circle):
            told.update(circle)
            if circle:
                yield circle


def _way_back(start: str, fallbacks: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The shortest way from `start` to itself, without its end; empty where there is none."""
    came_from: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        name = waiting.popleft()
        for each in fallbacks.get(name, ()):
            if each == start:
                return _walked(name, came_from)
            if each not in came_from:
                came_from[each] = name
                waiting.append(each)
    return ()


def _walked(end: str, came_from: Mapping[str, str]) -> tuple[str, ...]:
    way = [end]
    while way[-1] in came_from:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))


def _named_twice(named: Mapping[str, Provider] | Mapping[str, Model]) -> Iterator[Wrong]:
    first: dict[str, str] = {}
    for path, each in named.items():
        if each.name in first:
            wanted = f"a name of its own: {first[each.name]} has this one"
            yield Wrong(f"{path}.name", shown(each.name), wanted)
        first.setdefault(each.name, path)


def _one_of(names: frozenset[str], what: str) -> str:
    """The names there are, as far as a line has room for them."""
    few = sorted(names)[:8]
    return f"{what}: {', '.join(map(shown, few))}" if few else f"{what} (there is none)"


RULES: Final[tuple[Callable[[Draft], Iterator[Wrong]], ...]] = (
    _server,
    _store,
    _auth,
    _limits,
    _providers,
    _models,
    _fallbacks,
)
