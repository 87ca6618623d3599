"""The chat use case over providers in memory."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from types import MappingProxyType

import msgspec

from service.chat import call as surfaces
from service.chat.accounts import Accounts
from service.chat.call import Body, Call, Surface
from service.chat.catalog import Catalog
from service.chat.service import ChatService, Drains
from service.config import (
    LimitSettings,
    Model,
    Price,
    Retries,
    Settings,
    Streams,
    TargetRef,
    TimeoutOverrides,
    UsageSettings,
)
from service.config import Provider as ProviderSettings
from service.limits.memory import MemoryLimitStore
from service.limits.service import LimitService, NoOverrides
from service.pricing.arithmetic import Rates
from service.principal import USER_SCOPES, Principal
from service.providers.anthropic import AnthropicCodec
from service.providers.base import Codec, Operation, Provider
from service.providers.openai import OpenAICodec
from service.providers.registry import KINDS
from service.streams.ports import Translator
from service.streams.registry import StreamRegistry
from service.telemetry.facts import Facts
from service.wire import strict
from service.wire.anthropic import MessagesRequest
from service.wire.openai import ChatCompletionRequest, CompletionRequest, EmbeddingRequest
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeLedger
from tests.fakes.ledger_sums import LedgerSums
from tests.fakes.streams import stream_registry
from tests.fakes.upstream import JSON, End, Head, Script, ScriptedUpstream

ANYONE = Principal(scopes=USER_SCOPES)

RATES = Rates(input=1_000_000, cached_input=1_000_000, cache_write=1_000_000, output=2_000_000)
"""1 and 2 USD per million tokens."""

COMPLETION = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"gpt","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)
MESSAGE = (
    b'{"id":"m","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"Hi"}],'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}'
)

BODIES: dict[Surface, type[Body]] = {
    surfaces.CHAT: ChatCompletionRequest,
    surfaces.COMPLETIONS: CompletionRequest,
    surfaces.COMPLETIONS: CompletionRequest,
    surfaces.MESSAGES: MessagesRequest,
    surfaces.EMBEDDINGS: EmbeddingRequest,
}


def whole(body: bytes = COMPLETION, status: int = 200, **headers: str) -> Script:
    """A JSON answer. Underscores in the headers' names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return [Head(status, JSON | named), body, End()]


def refused(status: int, message: str = "No.", **headers: str) -> Script:
    """An error answer."""
    return whole(msgspec.json.encode({"error": {"message": message}}), status, **headers)


class FlatPrices:
    """Every model costs the same but for those of some providers, and the table knows no names."""

    def __init__(self, others: Mapping[str, Rates | None]) -> None:
        """others: by a provider's name; None: nobody knows what it costs."""
        self._others = others

    def model_names(self, provider: ProviderSettings) -> Iterable[str]:
        """None."""
        return ()

    def rates(self, provider: ProviderSettings, model: str, configured: Price | None) -> Rates | None:
        """RATES, for most."""
        return self._others.get(provider.name, RATES)

    def version(self, provider: ProviderSettings, configured: Price | None) -> str:
        """Always the same."""
        return "flat"


@dataclass
class Kitchen:
    """A service and its providers in memory, by name; a name that begins with `anthropic` is of that kind."""

    service: ChatService
    upstreams: Mapping[str, ScriptedUpstream]
    clock: FakeClock
    ledger: FakeLedger
    limits: MemoryLimitStore
    registry: StreamRegistry

    @property
    def calls(self) -> list[tuple[str, float]]:
        """Every call in order: the provider's name, and the loop's time at which it was made."""
        made = [(name, exchange.opened_at) for name, up in self.upstreams.items() for exchange in up.calls]
        return sorted(made, key=lambda call: call[1])

    @property
    def order(self) -> str:
        """The providers that were called, as one word of their names' first letters."""
        return "".join(name[0] for name, _ in self.calls)


def kitchen(
    scripts: Mapping[str, Sequence[Script | Exception]],
    *,
    fallbacks: tuple[str, ...] = (),
    retries: Retries = Retries(),  # noqa: B008 - frozen
    streams: Streams = Streams(),  # noqa: B008 - frozen
    timeouts: TimeoutOverrides = TimeoutOverrides(),  # noqa: B008 - frozen
    limits: LimitSettings = LimitSettings(),  # noqa: B008 - frozen
    usage: UsageSettings = UsageSettings(),  # noqa: B008 - frozen
    rates: Mapping[str, Rates | None] = MappingProxyType({}),
    max_output_tokens: Mapping[str, int] = MappingProxyType({}),
    drains: Drains | None = None,
) -> Kitchen:
    """Call inside the loop. scripts: by provider, one for each call to it. The alias `fast` is the first provider's, `fallbacks` name others; each is an alias too.

    rates, max_output_tokens: by provider, where they are not the usual ones. drains: another one's, which it takes the place of.
    """
    clock = FakeClock()
    upstreams = {name: ScriptedUpstream(*each) for name, each in scripts.items()}
    kinds = {name: "anthropic" if name.startswith("anthropic") else "openai" for name in upstreams}
    settings = Settings(
        providers=tuple(_provider_settings(name, kind) for name, kind in kinds.items()),
        models=(
            _model("fast", next(iter(upstreams)), fallbacks, max_output_tokens),
            *(_model(name, name, (), max_output_tokens) for name in upstreams),
        ),
        timeouts=timeouts,
    )
    catalog = Catalog(settings, FlatPrices(rates))
    providers = {name: _provider(name, kinds[name], up, clock) for name, up in upstreams.items()}
    ledger = FakeLedger()
    loop = asyncio.get_running_loop()
    store = MemoryLimitStore(
        now_us=lambda: int(loop.time() * 1e6),
        spent=LedgerSums(),
        began_at=clock.now(),
        on_alert=lambda meter, window_start, spent: None,
    )
    registry = stream_registry(
        keep_seconds=streams.keep_seconds,
        max_bytes_per_stream=streams.max_bytes_per_stream,
        max_bytes_total=streams.max_bytes_total,
    )
    service = ChatService(
        catalog=catalog,
        providers=providers,
        retries=retries,
        streams=streams,
        registry=registry,
        usage=usage,
        accounts=Accounts(
            limits=LimitService(limits, store, NoOverrides()),
            ledger=ledger,
            clock=clock,
            aliases=catalog.aliases,
            dialect_of=lambda name: providers[name].codec.dialect,
        ),
        clock=clock,
        draw=lambda: 0.0,
        drains=drains or Drains(),
    )
    return Kitchen(service, upstreams, clock, ledger, store, registry)


def order(
    model: str = "fast",
    *,
    surface: Surface = surfaces.CHAT,
    stream: bool = False,
    passed_on: dict[str, str] | None = None,
    principal: Principal = ANYONE,
    last_stage: Callable[[Callable[[], float | None]], Translator] | None = None,
    **members: object,
) -> Call:
    """A call as the edge makes it."""
    least: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    least |= {"stream": True} if stream else {}
    body = msgspec.json.encode(least | members)
    facts = Facts("req_1", "POST", "/v1/chat/completions", monotonic(), stream=stream)
    request = msgspec.json.decode(body, type=BODIES[surface])
    return Call(
        surface=surface,
        route=surface.route,
        model=model,
        request=request,
        members=strict.members(body),
        stream=stream,
        principal=principal,
        passed_on=passed_on or {},
        facts=facts,
        extra_headers=[],
        last_stage=last_stage,
    )


def _provider_settings(name: str, kind: str) -> ProviderSettings:
    return msgspec.convert(
        {"name": name, "kind": kind, "base_url": f"http://{name}.example"}, ProviderSettings
    )


def _model(
    name: str, provider: str, fallbacks: tuple[str, ...], max_output_tokens: Mapping[str, int]
) -> Model:
    return Model(
        name=name,
        targets=(TargetRef(provider=provider, model=f"{provider}-1"),),
        fallbacks=fallbacks,
        max_output_tokens=max_output_tokens.get(provider, 4096),
    )


def _provider(name: str, kind: str, upstream: ScriptedUpstream, clock: FakeClock) -> Provider:
    codecs: dict[str, Codec] = {"openai": OpenAICodec(clock.now), "anthropic": AnthropicCodec(clock.now)}
    operations: frozenset[Operation] = KINDS[kind].operations
    return Provider(name, codecs[kind], upstream, operations, stream_usage=True, close=lambda: None)
