"""OpenAI's dialect: what an OpenAI-compatible provider's bytes mean. Pure.

Events are decoded only as far as metering needs, and pass on as the bytes that they were.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from service.pricing.arithmetic import Usage, plausible
from service.providers import faults
from service.providers.base import AnswerFacts, Dialect, Fault, FaultKind, HeaderLines
from service.providers.faults import Conceal, without_secrets
from service.providers.openai_delta import Delta
from service.wire.sse import Event

T = TypeVar("T")

DONE_DATA = b"[DONE]"


class _InputDetails(msgspec.Struct, frozen=True, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, frozen=True, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Choice(msgspec.Struct, frozen=True, gc=False):
    index: int = 0
    finish_reason: str | None = None
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None


class _Chunk(msgspec.Struct, frozen=True, gc=False):
    """A chunk, or the error that some servers send in its place."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: faults.ErrorMember | str | None = None


class _Answer(msgspec.Struct, frozen=True):
    """A whole answer: completions have `choices`, embeddings `data`."""

    choices: list[msgspec.Raw] | None = None
    data: list[msgspec.Raw] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: faults.ErrorMember | str | None = None


class _LooseChoice(msgspec.Struct, frozen=True, gc=False):
    finish_reason: str | None = None


class _LooseChunk(msgspec.Struct, frozen=True, gc=False):
    """What must be understood even where a server's types stray: why it ends, and what went wrong."""

    choices: list[_LooseChoice] | None = None
    error: faults.ErrorMember | str | None = None


class _LooseAnswer(msgspec.Struct, frozen=True):
    """The same of a whole answer."""

    choices: list[msgspec.Raw] | None = None
    data: list[msgspec.Raw] | None = None
    error: faults.ErrorMember | str | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_ANSWER = msgspec.json.Decoder(_Answer)
_LOOSE_CHUNK = msgspec.json.Decoder(_LooseChunk)
_LOOSE_ANSWER = msgspec.json.Decoder(_LooseAnswer)
_CHOICE = msgspec.json.Decoder(_Choice)


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None or (usage.prompt_tokens is None and usage.completion_tokens is None):
        return None
    cached = usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
    written = usage.prompt_tokens_details and usage.prompt_tokens_details.cache_write_tokens
    reasoning = usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens
    return plausible(
        Usage(
            input_tokens=max(usage.prompt_tokens or 0, 0),
            cached_input_tokens=max(cached or 0, 0),
            cache_write_tokens=max(written or 0, 0),
            output_tokens=max(usage.completion_tokens or 0, 0),
            reasoning_tokens=max(reasoning or 0, 0),
        )
    )


def _error(error: faults.ErrorMember | str) -> faults.ErrorMember:
    return error if isinstance(error, faults.ErrorMember) else faults.ErrorMember(message=error)


class OpenAIReader:
    """One stream of chat or text completion chunks; a state machine without I/O."""

    __slots__ = (
        "_conceal",
        "_ended",
        "_pass_usage",
        "_seen",
        "content_bytes",
        "content_events",
        "done",
        "model",
        "usage",
    )

    def __init__(self, *, pass_usage: bool, conceal: Conceal = without_secrets) -> None:
        self._conceal = conceal
        self._pass_usage = pass_usage
        self._seen: set[int] = set()
        self._ended: set[int] = set()
        self.usage: Usage | None = None
        self.model: str | None = None
        self.done = False
        self.content_events = 0
        self.content_bytes = 0

    @property
    def finished(self) -> bool:
        """Whether every choice that began has said why it ended."""
        return bool(self._ended) and self._seen == self._ended

    def take(self, event: Event) -> bool:
        """Read one event; False if it is not for the client.

        Raises Fault: FAILED and the like for an error event, CUT for one that is not UTF-8 JSON.
        """
        data = event.data
        if data == DONE_DATA:
            self.done = True
            return False
        try:
            chunk = _CHUNK.decode(data) if data.isascii() else _decode(data)
        except (msgspec.DecodeError, RecursionError):
            chunk = _decode(data)
        if chunk.error is not None:
            raise faults.fault_of_event(_error(chunk.error), self._conceal)
        if chunk.usage is not None:
            self.usage = _usage(chunk.usage) or self.usage
        if not chunk.choices:
            return self._pass_usage or chunk.usage is None
        if self.model is None:
            self.model = chunk.model
        for choice in chunk.choices:
            self._seen.add(choice.index)
            if choice.finish_reason:
                self._ended.add(choice.index)
            delta = choice.delta
            text = choice.text if delta is None else delta.content
            if text:
                self.content_events += 1
                self.content_bytes += len(text) if text.isascii() else len(text.encode())
            elif delta is not None and (size := delta.other_bytes):
                self.content_events += 1
                self.content_bytes += size
        return True


def _decode(data: bytes) -> _Chunk:
    try:
        return _CHUNK.decode(read_text(data))
    except msgspec.ValidationError:
        return _decode_loosely(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise bad_event(error) from None


def _decode_loosely(data: bytes) -> _Chunk:
    """A chunk with a stray type in what is only metered: that is left out, the event passes."""
    try:
        found = _LOOSE_CHUNK.decode(data)
    except msgspec.ValidationError as error:
        raise bad_event(error) from None
    choices = None if found.choices is None else [_Choice(0, one.finish_reason) for one in found.choices]
    return _Chunk(choices, error=found.error)


def read_text(data: bytes) -> bytes:
    """`data`, once it is known to be UTF-8: fields that a decoder skips are not looked at."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise bad_event(error) from None
    return data


def bad_event(error: Exception) -> Fault:
    """The fault of an event that is not UTF-8 JSON of its dialect's shape."""
    detail = f"The provider sent an event that is not valid UTF-8 JSON: {error}"
    return Fault(FaultKind.CUT, detail, reason="bad_event")


class OpenAICodec:
    """Any OpenAI-compatible endpoint."""

    dialect = Dialect.OPENAI

    def __init__(self, now: Callable[[], float], conceal: Conceal = without_secrets) -> None:
        """now: Unix seconds. conceal: what a provider's messages pass through."""
        self._now = now
        self._conceal = conceal

    def credentials(self, api_key: str | None) -> HeaderLines:
        """Bearer credentials, if there are any."""
        return (("Authorization", f"Bearer {api_key}"),) if api_key else ()

    def pass_on(self, offered: Mapping[str, str]) -> HeaderLines:
        """The caller's `openai-beta`."""
        beta = offered.get("openai-beta")
        return (("OpenAI-Beta", beta),) if beta else ()

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        """An answer that is no 2xx, in our terms."""
        return faults.fault_of_answer(status, headers, body, now=self._now(), conceal=self._conceal)

    def read_answer(self, body: bytes) -> AnswerFacts:
        """Check and meter a whole answer. Raises Fault: EMPTY if it brought nothing, CUT if it broke off."""
        answer = read_whole(body, _ANSWER, _answer_loosely)
        if answer.error is not None:
            raise faults.fault_of_event(_error(answer.error), self._conceal)
        if not answer.choices and answer.data is None:
            raise Fault(FaultKind.EMPTY, "The provider's 200 holds no answer.", reason="empty")
        usage = _usage(answer.usage)
        unreported = usage is None or not usage.output_tokens
        return AnswerFacts(usage, answer.model, _content_bytes(answer.choices) if unreported else 0)

    def reader(self, *, pass_usage: bool) -> OpenAIReader:
        """A reader for one stream; `pass_usage`: the client asked for the usage chunk."""
        return OpenAIReader(pass_usage=pass_usage, conceal=self._conceal)


def _content_bytes(choices: list[msgspec.Raw] | None) -> int:
    """Of all that a whole answer says."""
    return sum(_choice_bytes(choice) for choice in choices or ())


def _choice_bytes(raw: msgspec.Raw) -> int:
    try:
        choice = _CHOICE.decode(raw)
    except msgspec.MsgspecError:
        return len(raw)
    if choice.message is None:
        return len((choice.text or "").encode())
    return len((choice.message.content or "").encode()) + choice.message.other_bytes


def _answer_loosely(body: bytes) -> _Answer:
    found = _LOOSE_ANSWER.decode(body)
    return _Answer(choices=found.choices, data=found.data, error=found.error)


def read_whole(body: bytes, decoder: msgspec.json.Decoder[T], loosely: Callable[[bytes], T]) -> T:
    """Decode a whole 2xx body; `loosely`, where a type strays in what is only metered.

    Raises Fault: EMPTY if it is nothing or a proxy's page, CUT if it began in any other way and is not valid.
    """
    if body.lstrip()[:1] in (b"", b"<"):
        raise Fault(FaultKind.EMPTY, "The provider's 200 holds no JSON.", reason="no_json")
    try:
        if not body.isascii():
            body.decode()
        return _decode_either(body, decoder, loosely)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        detail = f"The provider's answer is not valid UTF-8 JSON: {error}"
        raise Fault(FaultKind.CUT, detail, reason="bad_json") from None


def _decode_either(body: bytes, decoder: msgspec.json.Decoder[T], loosely: Callable[[bytes], T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        return loosely(body)
