"""Steady loads that can be held for as long as somebody looks on: what the profiler runs under."""

import msgspec

from benchmarks.lab.gateway import ANTHROPIC_MODEL, GUARDED, GUARDED_REDIS
from benchmarks.lab.subjects import PLAIN, Variant
from benchmarks.load.requests import LARGE, Ask, streamed
from benchmarks.upstream.script import Script


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One question, asked over and over on so many connections."""

    title: str
    ask: Ask
    connections: int
    spread_seconds: float = 0.0
    variant: Variant = PLAIN


_BURST = Script(tokens=200)
_PACED = streamed(100, 20)

LOADS = {
    "json": Load(title="JSON over 64 connections", ask=Ask(), connections=64),
    "large": Load(title="JSON with a prompt of 100 KB", ask=Ask(text=LARGE), connections=16),
    "sse": Load(title="200 streams, a token every 20 ms", ask=_PACED, connections=200, spread_seconds=0.02),
    "burst": Load(title="32 streams without a pause", ask=streamed(200, 0), connections=32),
    "messages": Load(
        title="Anthropic's dialect in front of an OpenAI provider, JSON",
        ask=Ask(dialect="anthropic"),
        connections=64,
    ),
    "messages-burst": Load(
        title="Anthropic's dialect in front of an OpenAI provider, streamed",
        ask=Ask(dialect="anthropic", stream=True, script=_BURST),
        connections=32,
    ),
    "anthropic": Load(
        title="chat completions in front of an Anthropic provider, JSON",
        ask=Ask(model=ANTHROPIC_MODEL),
        connections=64,
    ),
    "anthropic-burst": Load(
        title="chat completions in front of an Anthropic provider, streamed",
        ask=Ask(model=ANTHROPIC_MODEL, stream=True, script=_BURST),
        connections=32,
    ),
    "guarded": Load(
        title="JSON with keys, limits and the ledger", ask=Ask(), connections=64, variant=GUARDED
    ),
    "guarded-redis": Load(
        title="JSON with keys, limits in Redis, and the ledger",
        ask=Ask(),
        connections=64,
        variant=GUARDED_REDIS,
    ),
}
