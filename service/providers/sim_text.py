"""The simulated model: what it answers to a request, without I/O, clock or chance. Pure.

The same messages bring the same text, whatever the model's pace. A token is a word with the space
before it (JSON, of tool arguments and formats, counts every eight characters), so that the tokens
joined are the text; a prompt's tokens are the words of all its texts. All answers say that they
are simulated, by `system_fingerprint`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from service.providers import sim_schema, sim_tools, sim_vectors, sim_words
from service.providers.sim_frame import FINGERPRINT, Frame
from service.providers.sim_tools import Call
from service.wire.openai import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionRequest,
    ChatMessage,
    Choice,
    Completion,
    CompletionChoice,
    CompletionRequest,
    CompletionTokensDetails,
    EmbeddingRequest,
    EmbeddingUsage,
    FunctionCall,
    PromptTokensDetails,
    ToolCall,
    Usage,
)

DEFAULT_TOKENS = 48
MAX_TOKENS = 100_000
MAX_INTERVAL_MS = 60_000

MAX_EMBEDDED_TOKENS = 300_000
"""Of one embeddings call, as OpenAI has it; more would hold up everyone else."""

MAX_CHOSEN_TOKENS = 1_000_000
"""Of all choices of one answer together, for the same reason."""

_NAME = re.compile(r"sim(?:-embed|-(?P<tokens>\d{1,6})-(?P<ms>\d{1,5})ms)?")
_ENCODE = msgspec.json.Encoder().encode


class SimRefused(ValueError):
    """The simulated provider's 400. param: the field at fault."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class SimPlan:
    """How long and how fast a model talks."""

    tokens: int
    interval_seconds: float


DEFAULT_PLAN = SimPlan(DEFAULT_TOKENS, 0.0)


def parse_model(name: str) -> SimPlan | None:
    """The plan of `sim`, `sim-embed` or `sim-<tokens>-<ms>ms`; None for every other name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    if match["tokens"] is None:
        return DEFAULT_PLAN
    tokens, milliseconds = int(match["tokens"]), int(match["ms"])
    if not 1 <= tokens <= MAX_TOKENS or milliseconds > MAX_INTERVAL_MS:
        return None
    return SimPlan(tokens, milliseconds / 1000)


@dataclass(frozen=True, slots=True)
class SimAnswer:
    """One answer in both forms. chunks: the JSON of each event, made as it is taken, once."""

    whole: ChatCompletion | Completion
    chunks: Iterator[bytes]

    @property
    def body(self) -> bytes:
        """The whole answer's JSON."""
        return _ENCODE(self.whole)


@dataclass(frozen=True, slots=True)
class _Said:
    """What one choice says: tokens of text, or calls."""

    tokens: list[str]
    finish_reason: str
    calls: tuple[Call, ...] = ()

    @property
    def output_tokens(self) -> int:
        return len(self.tokens) + sum(call.tokens for call in self.calls)


def chat_completion(request: ChatCompletionRequest, *, created: int, id: str) -> SimAnswer:
    """Answer a chat. created: Unix seconds. A model without a plan talks like `sim`.

    Raises SimRefused for too many choices.
    """
    choices = request.n or 1
    said = _answer(request, _plan(request.model, choices))
    prompt_tokens = sum(sim_words.count_words(_text(message)) for message in request.messages)
    usage = _usage(prompt_tokens, said.output_tokens * choices)
    whole = ChatCompletion(
        id=id,
        created=created,
        model=request.model,
        choices=[
            Choice(index=index, message=_message(said), finish_reason=said.finish_reason)
            for index in range(choices)
        ],
        usage=usage,
        system_fingerprint=FINGERPRINT,
    )
    frame = Frame(id, created, request.model, "chat.completion.chunk", b"delta", request.stream_options)
    ends = [(index, said.finish_reason) for index in range(choices)]
    deltas = ((index, delta) for delta in _deltas(said) for index in range(choices))
    return SimAnswer(whole, frame.chunks(deltas, b"{}", ends, usage))


def _plan(model: str, choices: int) -> SimPlan:
    plan = parse_model(model) or DEFAULT_PLAN
    if plan.tokens * choices > MAX_CHOSEN_TOKENS:
        raise SimRefused(f"At most {MAX_CHOSEN_TOKENS} tokens are simulated in one answer.", "n")
    return plan


def _answer(request: ChatCompletionRequest, plan: SimPlan) -> _Said:
    limit = request.max_completion_tokens or request.max_tokens or MAX_TOKENS
    seed = _seed((request.seed, request.messages))
    last = request.messages[-1]
    # A tool's result is answered in words even where the user had asked for calls: agents end.
    asked = _text(last) if last.role == "user" else ""
    if calls := sim_tools.planned_calls(request, asked, seed):
        kept = sim_tools.within(calls, limit)
        return _Said([], "tool_calls" if kept == calls else "length", kept)
    if (json := _formatted(request)) is not None:
        return _cut(sim_words.pieces(json), limit, None)
    heard, verb = _heard(request.messages)
    tokens = sim_words.answer_tokens(heard, verb=verb, seed=seed, count=plan.tokens)
    return _cut(tokens, limit, request.stop)


def _seed(content: object) -> int:
    return int.from_bytes(blake2b(_ENCODE(content), digest_size=8).digest(), "little")


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return " ".join(part.text for part in message.content or () if part.text)


def _heard(messages: list[ChatMessage]) -> tuple[str, str]:
    """What the answer acknowledges: a tool's result just given, else the user's last message."""
    if messages[-1].role == "tool":
        return _text(messages[-1]), "fetched"
    users = (_text(message) for message in reversed(messages) if message.role == "user")
    return next(users, ""), "wrote"


def _formatted(request: ChatCompletionRequest) -> str | None:
    """The answer's JSON where the request wants JSON."""
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.json_schema and wanted.json_schema.schema:
        return sim_schema.example(wanted.json_schema.schema)
    return '{"simulated":true}' if wanted.type == "json_object" else None


def _cut(tokens: list[str], limit: int, stop: str | list[str] | None) -> _Said:
    kept = tokens[:limit]
    stops = [stop] if isinstance(stop, str) else stop or []
    if stops and (before := sim_words.before_stop(kept, stops)) is not None:
        return _Said(before, "stop")
    return _Said(kept, "length" if limit < len(tokens) else "stop")


def _usage(prompt_tokens: int, completion_tokens: int) -> Usage:
    return Usage(
        prompt_tokens,
        completion_tokens,
        prompt_tokens + completion_tokens,
        PromptTokensDetails(cached_tokens=0),
        CompletionTokensDetails(reasoning_tokens=0),
    )


def _message(said: _Said) -> AssistantMessage:
    if not said.calls:
        return AssistantMessage(content="".join(said.tokens))
    calls = [
        ToolCall(id=call.id, function=FunctionCall(call.name, "".join(call.pieces))) for call in said.calls
    ]
    return AssistantMessage(tool_calls=calls)


def _deltas(said: _Said) -> Iterator[bytes]:
    if not said.calls:
        yield b'{"role":"assistant","content":"","refusal":null}'
    for token in said.tokens:
        yield b'{"content":' + _ENCODE(token) + b"}"
    for index, call in enumerate(said.calls):
        role = b'"role":"assistant","content":null,' if index == 0 else b""
        head = b'"tool_calls":[{"index":%d' % index
        named = b',"id":%b,"type":"function","function":{"name":%b,' % (_ENCODE(call.id), _ENCODE(call.name))
        yield b"{" + role + head + named + b'"arguments":""}}]}'
        for piece in call.pieces:
            yield b"{" + head + b',"function":{"arguments":' + _ENCODE(piece) + b"}}]}"


def completion(request: CompletionRequest, *, created: int, id: str) -> SimAnswer:
    """Continue one or more prompts (OpenAI's older API), each `n` times. created: Unix seconds.

    Raises SimRefused for too many choices.
    """
    texts = _texts(request.prompt)
    plan = _plan(request.model, len(texts) * (request.n or 1))
    limit = MAX_TOKENS if request.max_tokens is None else request.max_tokens
    said: list[tuple[str, _Said]] = []
    for text in texts:
        tokens = sim_words.answer_tokens(
            text, verb="wrote", seed=_seed((request.seed, text)), count=plan.tokens
        )
        echo = f"{text} " if request.echo and text else ""
        said += [(echo, _cut(tokens, limit, request.stop))] * (request.n or 1)
    prompt_tokens = sum(sim_words.count_words(text) for text in texts)
    usage = _usage(prompt_tokens, sum(one.output_tokens for _, one in said))
    whole = Completion(
        id=id,
        created=created,
        model=request.model,
        choices=[
            CompletionChoice(index=index, text=echo + "".join(one.tokens), finish_reason=one.finish_reason)
            for index, (echo, one) in enumerate(said)
        ],
        usage=usage,
        system_fingerprint=FINGERPRINT,
    )
    frame = Frame(id, created, request.model, "text_completion", b"text", request.stream_options)
    ends = [(index, one.finish_reason) for index, (_, one) in enumerate(said)]
    pieces = (
        (index, _ENCODE(token))
        for index, (echo, one) in enumerate(said)
        for token in (*filter(None, (echo,)), *one.tokens)
    )
    return SimAnswer(whole, frame.chunks(pieces, b'""', ends, usage))


def _texts(given: str | list[str | int | list[int]] | None) -> list[str]:
    """The prompts or inputs; token numbers are read as words, so that each counts as one token."""
    if given is None or isinstance(given, str):
        return [given or ""]
    if all(isinstance(item, int) for item in given):
        return [" ".join(map(str, given))]
    return [item if isinstance(item, str) else " ".join(map(str, _numbers(item))) for item in given]


def _numbers(item: int | list[int]) -> list[int]:
    return [item] if isinstance(item, int) else item


def embeddings(request: EmbeddingRequest) -> bytes:
    """The JSON of one unit vector for each input. Raises SimRefused for too much of anything."""
    dimensions = request.dimensions or sim_vectors.DEFAULT_DIMENSIONS
    if dimensions > sim_vectors.MAX_DIMENSIONS:
        raise SimRefused(f"At most {sim_vectors.MAX_DIMENSIONS} dimensions are simulated.", "dimensions")
    inputs = [text.split() for text in _texts(request.input)]
    tokens = sum(map(len, inputs))
    if tokens > MAX_EMBEDDED_TOKENS:
        raise SimRefused(f"At most {MAX_EMBEDDED_TOKENS} words are embedded in one call.", "input")
    base64 = request.encoding_format == "base64"
    data = b",".join(
        b'{"object":"embedding","index":%d,"embedding":%b}'
        % (index, sim_vectors.encoded(sim_vectors.vector(words, dimensions), base64=base64))
        for index, words in enumerate(inputs)
    )
    tail = {
        "model": request.model,
        "usage": EmbeddingUsage(tokens, tokens),
        "system_fingerprint": FINGERPRINT,
    }
    return b'{"object":"list","data":[' + data + b"]," + _ENCODE(tail)[1:]
