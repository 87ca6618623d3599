"""Anthropic's dialect: what a Messages endpoint's bytes mean. Pure.

Its stream usage is cumulative: `message_start` brings the input's share, each `message_delta`
the output's so far, so the last word counts and nothing is added up. What `message_start` says
of the output is a mere beginning: where nothing follows it, the output was not reported.
"""

from collections.abc import Callable, Mapping

import msgspec

from service.pricing.arithmetic import Usage, plausible
from service.providers import faults
from service.providers.base import AnswerFacts, Dialect, Fault, FaultKind, HeaderLines
from service.providers.faults import Conceal, without_secrets
from service.providers.openai import bad_event, read_text, read_whole
from service.wire.sse import Event

VERSION = "2023-06-01"


class _OutputDetails(msgspec.Struct, frozen=True, gc=False):
    thinking_tokens: int | None = None


class _CacheCreation(msgspec.Struct, frozen=True, gc=False):
    ephemeral_1h_input_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True, gc=False):
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Message(msgspec.Struct, frozen=True, gc=False):
    model: str | None = None
    usage: _Usage | None = None


class _Delta(msgspec.Struct, frozen=True, gc=False):
    stop_reason: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None


class _StreamEvent(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    message: _Message | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: faults.ErrorMember | None = None


class _Answer(msgspec.Struct, frozen=True):
    """A whole message, or `count_tokens`' answer."""

    type: str | None = None
    content: list[msgspec.Raw] | None = None
    input_tokens: int | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: faults.ErrorMember | None = None


class _Block(msgspec.Struct, frozen=True, gc=False):
    text: str | None = None
    thinking: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"")


class _LooseDelta(msgspec.Struct, frozen=True, gc=False):
    stop_reason: str | None = None


class _LooseEvent(msgspec.Struct, frozen=True, gc=False):
    """What must be understood even where a server's types stray: what it is, why it ends, what went wrong."""

    type: str = ""
    delta: _LooseDelta | None = None
    error: faults.ErrorMember | None = None


class _LooseAnswer(msgspec.Struct, frozen=True):
    """The same of a whole answer."""

    type: str | None = None
    content: list[msgspec.Raw] | None = None
    error: faults.ErrorMember | None = None


_EVENT = msgspec.json.Decoder(_StreamEvent)
_ANSWER = msgspec.json.Decoder(_Answer)
_BLOCK = msgspec.json.Decoder(_Block)
_LOOSE_EVENT = msgspec.json.Decoder(_LooseEvent)
_LOOSE_ANSWER = msgspec.json.Decoder(_LooseAnswer)


def _newer(usage: _Usage, older: _Usage) -> _Usage:
    """Cumulative counts: what the newer event names replaces the older."""
    pairs = (
        (getattr(usage, field), getattr(older, field))
        for field in (
            "input_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "cache_creation",
            "output_tokens",
            "output_tokens_details",
        )
    )
    return _Usage(*(old if new is None else new for new, old in pairs))


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    cached = max(usage.cache_read_input_tokens or 0, 0)
    thinking = usage.output_tokens_details
    written = max(usage.cache_creation_input_tokens or 0, 0)
    split = usage.cache_creation
    for_an_hour = max((split and split.ephemeral_1h_input_tokens) or 0, 0)
    return plausible(
        Usage(
            input_tokens=max(usage.input_tokens or 0, 0) + cached + written,
            cached_input_tokens=cached,
            cache_write_tokens=written,
            output_tokens=max(usage.output_tokens or 0, 0),
            reasoning_tokens=max((thinking and thinking.thinking_tokens) or 0, 0),
            hour_write_tokens=min(for_an_hour, written),
        )
    )


class AnthropicReader:
    """One Messages stream; a state machine without I/O."""

    __slots__ = (
        "_conceal",
        "_reported",
        "_told_output",
        "content_bytes",
        "content_events",
        "done",
        "finished",
        "model",
    )

    def __init__(self, conceal: Conceal = without_secrets) -> None:
        self._conceal = conceal
        self._reported = _Usage()
        self._told_output = False
        self.model: str | None = None
        self.finished = False
        self.done = False
        self.content_events = 0
        self.content_bytes = 0

    @property
    def usage(self) -> Usage | None:
        """Tokens as far as the provider has reported them."""
        return _usage(self._reported)

    def take(self, event: Event) -> bool:
        """Read one event; False for an end mark without a stop reason, which would make a cut answer look whole.

        Raises Fault for an error event or broken JSON.
        """
        found = _decode(event.data)
        if found.type == "error" or found.error is not None:
            raise faults.fault_of_event(found.error or faults.ErrorMember(), self._conceal)
        if found.message is not None:
            self.model = found.message.model
            self._report(found.message.usage)
        if found.usage is not None:
            self._report(found.usage)
            self._told_output = self._told_output or found.usage.output_tokens is not None
        if found.delta is not None:
            self.finished = self.finished or found.delta.stop_reason is not None
            if text := found.delta.text or found.delta.partial_json or found.delta.thinking:
                self.content_events += 1
                self.content_bytes += len(text) if text.isascii() else len(text.encode())
        if found.type == "message_stop":
            self.done = True
            if not self._told_output:
                self._reported = msgspec.structs.replace(self._reported, output_tokens=None)
            return self.finished
        return True

    def _report(self, usage: _Usage | None) -> None:
        if usage is not None:
            self._reported = _newer(usage, self._reported)


def _decode(data: bytes) -> _StreamEvent:
    try:
        return _EVENT.decode(read_text(data))
    except msgspec.ValidationError:
        return _decode_loosely(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise bad_event(error) from None


def _decode_loosely(data: bytes) -> _StreamEvent:
    """An event with a stray type in what is only metered: that is left out, the event passes."""
    try:
        found = _LOOSE_EVENT.decode(data)
    except msgspec.ValidationError as error:
        raise bad_event(error) from None
    delta = None if found.delta is None else _Delta(found.delta.stop_reason)
    return _StreamEvent(found.type, delta=delta, error=found.error)


def _content_bytes(blocks: list[msgspec.Raw] | None) -> int:
    """Of all that a whole answer says."""
    return sum(_block_bytes(block) for block in blocks or ())


def _block_bytes(raw: msgspec.Raw) -> int:
    try:
        block = _BLOCK.decode(raw)
    except msgspec.MsgspecError:
        return len(raw)
    return len((block.text or "").encode()) + len((block.thinking or "").encode()) + len(block.input)


def _answer_loosely(body: bytes) -> _Answer:
    found = _LOOSE_ANSWER.decode(body)
    return _Answer(found.type, found.content, error=found.error)


class AnthropicCodec:
    """Anthropic's own API, or a server that speaks it."""

    dialect = Dialect.ANTHROPIC

    def __init__(self, now: Callable[[], float], conceal: Conceal = without_secrets) -> None:
        """now: Unix seconds. conceal: what a provider's messages pass through."""
        self._now = now
        self._conceal = conceal

    def credentials(self, api_key: str | None) -> HeaderLines:
        """The key as `x-api-key`, if there is one."""
        return (("x-api-key", api_key),) if api_key else ()

    def pass_on(self, offered: Mapping[str, str]) -> HeaderLines:
        """The caller's `anthropic-version` (or the one that we speak) and `anthropic-beta`."""
        version = ("anthropic-version", offered.get("anthropic-version") or VERSION)
        beta = offered.get("anthropic-beta")
        return (version, ("anthropic-beta", beta)) if beta else (version,)

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        """An answer that is no 2xx, in our terms."""
        return faults.fault_of_answer(status, headers, body, now=self._now(), conceal=self._conceal)

    def read_answer(self, body: bytes) -> AnswerFacts:
        """Check and meter a whole answer. Raises Fault: EMPTY if it brought nothing, CUT if it broke off."""
        answer = read_whole(body, _ANSWER, _answer_loosely)
        if answer.type == "error" or answer.error is not None:
            raise faults.fault_of_event(answer.error or faults.ErrorMember(), self._conceal)
        if answer.content is None and answer.input_tokens is None:
            raise Fault(FaultKind.EMPTY, "The provider's 200 holds no answer.", reason="empty")
        usage = _usage(answer.usage)
        unreported = usage is None or not usage.output_tokens
        return AnswerFacts(usage, answer.model, _content_bytes(answer.content) if unreported else 0)

    def reader(self, *, pass_usage: bool) -> AnthropicReader:
        """A reader for one stream. `pass_usage` has no meaning here: usage is part of the events."""
        return AnthropicReader(self._conceal)
