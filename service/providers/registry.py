"""Which kinds of provider there are, and the configured ones, opened.

A new kind is a codec (or one of those that exist), an upstream and a row in KINDS.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import certifi

from service.clock import Clock
from service.config import Provider as ProviderSettings
from service.providers.anthropic import AnthropicCodec
from service.providers.base import Codec, Operation, Provider
from service.providers.faults import Conceal, concealing
from service.providers.openai import OpenAICodec
from service.providers.sim import SimUpstream
from service.providers.transport import HttpUpstream

OPENAI_OPERATIONS = frozenset({Operation.CHAT, Operation.COMPLETIONS, Operation.EMBEDDINGS})
ANTHROPIC_OPERATIONS = frozenset({Operation.MESSAGES, Operation.COUNT_TOKENS})


@dataclass(frozen=True, slots=True)
class Kind:
    """What `kind = "…"` in the configuration stands for. path: below base_url, before the operation's."""

    codec: Callable[[Callable[[], float], Conceal], Codec]
    operations: frozenset[Operation]
    path: str = ""
    simulated: bool = False


KINDS = {
    "openai": Kind(OpenAICodec, OPENAI_OPERATIONS),
    "anthropic": Kind(AnthropicCodec, ANTHROPIC_OPERATIONS, path="/v1"),
    "sim": Kind(OpenAICodec, OPENAI_OPERATIONS, simulated=True),
}


class Providers:
    """The configured providers, opened; no connection is made before it is needed. Made inside the running loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, tuple[ProviderSettings, Provider]] = {}

    def use(self, settings: tuple[ProviderSettings, ...]) -> dict[str, Provider]:
        """All of `settings` by name. One that is as it was keeps its connections.

        The others are closed: calls that are under way there go on to their ends.
        """
        before, self._open = self._open, {}
        for each in settings:
            known = before.get(each.name)
            if known is not None and known[0] == each:
                self._open[each.name] = before.pop(each.name)
            else:
                self._open[each.name] = each, _open(each, self._clock)
        _close(before)
        return {name: provider for name, (_, provider) in self._open.items()}

    def close(self) -> None:
        """Close all of them."""
        _close(self._open)


def _close(opened: Mapping[str, tuple[ProviderSettings, Provider]]) -> None:
    for _, provider in opened.values():
        provider.close()


def _open(settings: ProviderSettings, clock: Clock) -> Provider:
    kind = KINDS[settings.kind]
    base_url = settings.base_url + kind.path
    api_key = settings.api_key.reveal() if settings.api_key else None
    codec = kind.codec(clock.now, concealing(api_key=api_key, authority=urlsplit(base_url).netloc))
    upstream: SimUpstream | HttpUpstream
    if kind.simulated:
        upstream = SimUpstream(clock.now)
    else:
        context = _ssl_context() if base_url.startswith("https:") else None
        upstream = HttpUpstream(base_url, codec.credentials(api_key), context)
    return Provider(
        name=settings.name,
        codec=codec,
        upstream=upstream,
        operations=kind.operations,
        stream_usage=settings.stream_usage,
        close=upstream.close,
    )


@cache
def _ssl_context() -> ssl.SSLContext:
    """The system's roots (SSL_CERT_FILE is heard) and certifi's, for images that have none. Made only if needed."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
