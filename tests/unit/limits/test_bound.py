"""No request can use more than its bound says: whatever text is put in, wherever it is put."""

import base64
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.limits.bound import (
    FILE_TOKENS,
    IMAGE_TOKENS,
    cost_bound_nano_usd,
    estimated_input_tokens,
    input_bound,
    max_output,
    maximum_field,
    names_maximum,
    with_maximum,
    writes_for_an_hour,
)
from service.limits.prompt import PromptSize, Request, prompt_size
from service.pricing.arithmetic import Rates, Usage, cost_nano_usd
from service.wire.anthropic import CountTokensRequest, MessagesRequest
from service.wire.openai import ChatCompletionRequest, CompletionRequest, EmbeddingRequest
from service.wire.strict import members

ENCODE = msgspec.json.Encoder().encode
Json = dict[str, object]


def measured(kind: type[Request], **body: object) -> PromptSize:
    """The size of a body as a client sends it."""
    return measured_bytes(kind, ENCODE({"model": "m", **body}))


def measured_bytes(kind: type[Request], body: bytes) -> PromptSize:
    """The size of a body byte for byte."""
    return prompt_size(msgspec.json.decode(body, type=kind), members(body))


def chat(*messages: Json, **body: object) -> PromptSize:
    """A chat completion's size."""
    return measured(ChatCompletionRequest, messages=messages, **body)


def parts(*content: Json) -> PromptSize:
    """The size of a chat completion of one message with these parts."""
    return chat({"role": "user", "content": content})


def blocks(*content: Json, **body: object) -> PromptSize:
    """The size of a Messages request of one turn with these blocks."""
    return measured(MessagesRequest, max_tokens=1, messages=[{"role": "user", "content": content}], **body)


def request(kind: type[Request], **body: object) -> Request:
    """A checked request."""
    base: Json = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "prompt": "p", "input": "i"}
    return msgspec.json.decode(ENCODE({**base, **body}), type=kind)


SCHEMA = {"type": "object", "properties": {"größe": {"type": "number"}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
DATA = base64.b64encode(b"x" * 300).decode()
PNG = f"data:image/png;base64,{DATA}"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(chat({"role": "user", "content": "hello"}), PromptSize(5, 1), id="a-text"),
        pytest.param(chat({"role": "user", "content": "größe"}), PromptSize(7, 1), id="bytes-not-characters"),
        pytest.param(chat({"role": "system", "content": "ab"}, {"role": "user", "name": "ann", "content": "c"}), PromptSize(6, 2), id="names"),
        pytest.param(chat({"role": "assistant", "content": None, "refusal": "no", "reasoning_content": "hmm"}), PromptSize(5, 1), id="refusals-and-reasoning"),
        pytest.param(chat({"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}, {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "in"}}]}), PromptSize(10, 1), id="calls"),
        pytest.param(chat({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}), PromptSize(3, 1), id="an-old-call"),
        pytest.param(chat({"role": "tool", "tool_call_id": "c1", "content": "42"}), PromptSize(4, 1), id="a-tools-result"),
        pytest.param(chat({"role": "assistant", "content": "a", "thinking_blocks": [{"type": "thinking", "thinking": "th", "signature": "sig"}, {"type": "redacted_thinking", "data": "dat"}]}), PromptSize(9, 1), id="thinking-with-its-signature"),
        pytest.param(chat({"role": "assistant", "audio": {"id": "audio_1"}}), PromptSize(0, 1, files=1), id="an-earlier-answers-sound"),
        pytest.param(chat({"role": "user", "content": "a"}, tools=[TOOL]), PromptSize(1 + len(ENCODE([TOOL])), 1), id="tools-by-their-json"),
        pytest.param(chat({"role": "user", "content": "a"}, response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}), PromptSize(1 + len(ENCODE({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}})), 1), id="the-answers-schema"),
        pytest.param(chat({"role": "user", "content": "a"}, documents=["unknown text"], top_k=40), PromptSize(1 + len(b'["unknown text"]'), 1), id="unknown-fields-by-their-json-but-numbers"),
        pytest.param(parts({"type": "text", "text": "ab"}, {"type": "text", "text": "cd"}), PromptSize(4, 1), id="parts"),
        pytest.param(parts({"type": "image_url", "image_url": {"url": PNG}}), PromptSize(0, 1, images=1), id="an-image-is-no-text"),
        pytest.param(parts({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}), PromptSize(0, 1, images=1), id="an-image-elsewhere"),
        pytest.param(parts({"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}), PromptSize(0, 1, tokens=5), id="wav-sound"),
        pytest.param(parts({"type": "input_audio", "input_audio": {"data": DATA, "format": "mp3"}}), PromptSize(0, 1, tokens=38), id="mp3-sound"),
        pytest.param(parts({"type": "file", "file": {"file_id": "file-1"}}), PromptSize(0, 1, files=1), id="a-file-elsewhere"),
        pytest.param(parts({"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{DATA}"}}), PromptSize(5, 1, files=1), id="a-file-inside"),
        pytest.param(parts({"type": "file", "file": {"file_data": f"data:text/plain;base64,{DATA}"}}), PromptSize(len(f"data:text/plain;base64,{DATA}") * 3 // 4 + 1, 1), id="a-file-of-text"),
        pytest.param(parts({"type": "file", "file": {"file_data": "data:text/plain,abc"}}), PromptSize(19, 1), id="a-file-of-plain-text"),
        pytest.param(parts({"type": "video_url", "video_url": {"url": "https://example.com/v"}, "text": "x"}), PromptSize(1, 1, files=1), id="a-part-of-an-unknown-kind-is-a-file"),
        pytest.param(measured(CompletionRequest, prompt="abc", suffix="de"), PromptSize(5, 1), id="a-completion"),
        pytest.param(measured(CompletionRequest, prompt=None), PromptSize(0, 1), id="a-completion-of-nothing"),
        pytest.param(measured(CompletionRequest, prompt=["ab", "c"]), PromptSize(3, 2), id="two-completions"),
        pytest.param(measured(EmbeddingRequest, input=[101, 102, 103]), PromptSize(0, 1, tokens=3), id="token-ids"),
        pytest.param(measured(EmbeddingRequest, input=[[1, 2], [3]]), PromptSize(0, 2, tokens=3), id="lists-of-token-ids"),
        pytest.param(measured(EmbeddingRequest, input=["ab", [1, 2], 7, 8]), PromptSize(2, 3, tokens=4), id="a-mixture"),
        pytest.param(measured(MessagesRequest, max_tokens=1, system="sys", messages=[{"role": "user", "content": "hello"}]), PromptSize(8, 1), id="a-message"),
        pytest.param(measured(CountTokensRequest, system="sys", messages=[{"role": "user", "content": "hello"}]), PromptSize(8, 1), id="a-count"),
        pytest.param(blocks({"type": "text", "text": "ab"}, system=[{"type": "text", "text": "cd"}]), PromptSize(4, 1), id="blocks"),
        pytest.param(blocks({"type": "thinking", "thinking": "th", "signature": "sig"}, {"type": "redacted_thinking", "data": "dat"}), PromptSize(8, 1), id="anthropics-thinking"),
        pytest.param(blocks({"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "b"}}), PromptSize(2 + 1 + 1 + 3 + 4, 1), id="a-tools-input-by-its-json"),
        pytest.param(blocks({"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "ab"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}]}), PromptSize(4, 1, images=1), id="a-result-with-an-image"),
        pytest.param(blocks({"type": "image", "source": {"type": "url", "url": "https://example.com"}}), PromptSize(0, 1, images=1), id="anthropics-image-elsewhere"),
        pytest.param(blocks({"type": "document", "title": "T", "source": {"type": "base64", "media_type": "application/pdf", "data": DATA}}), PromptSize(1, 1, files=1), id="a-document-inside"),
        pytest.param(blocks({"type": "document", "source": {"type": "file", "file_id": "file_1"}}), PromptSize(0, 1, files=1), id="a-document-elsewhere"),
        pytest.param(blocks({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}}), PromptSize(3, 1), id="a-document-of-text"),
        pytest.param(blocks({"type": "document", "source": {"type": "content", "content": "abc"}}), PromptSize(3, 1), id="a-document-of-one-content"),
        pytest.param(blocks({"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": {"type": "base64", "data": DATA}}]}}), PromptSize(0, 1, images=1), id="a-document-with-an-image"),
        pytest.param(blocks({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "abc"}]}}), PromptSize(4 + 6 + 4 + 5 + 8, 1), id="a-document-of-blocks-by-their-json"),
        pytest.param(parts({"type": "refusal", "refusal": "no"}), PromptSize(2, 1), id="a-refusal-is-text"),
        pytest.param(blocks({"type": "search_result", "source": "url", "title": "T", "content": [{"type": "text", "text": "ab"}]}), PromptSize(6, 1), id="a-search-result"),
        pytest.param(blocks({"type": "container_upload", "file_id": "file_1"}), PromptSize(0, 1, files=1), id="an-upload"),
        pytest.param(blocks({"type": "text", "text": "a"}, tools=[{"name": "f", "input_schema": SCHEMA}]), PromptSize(1 + len(ENCODE([{"name": "f", "input_schema": SCHEMA}])), 1), id="anthropics-tools-by-their-json"),
    ],
)  # fmt: skip
def test_sizes(found: PromptSize, expected: PromptSize) -> None:
    assert found == expected


PLACES = [
    pytest.param(ChatCompletionRequest, lambda t: {"messages": [{"role": "user", "content": t}]}, id="content"),
    pytest.param(ChatCompletionRequest, lambda t: {"messages": [{"role": "user", "content": [{"type": "text", "text": t}]}]}, id="part"),
    pytest.param(ChatCompletionRequest, lambda t: {"messages": [{"role": "user", "name": t}]}, id="name"),
    pytest.param(ChatCompletionRequest, lambda t: {"messages": [{"role": "a", "tool_calls": [{"function": {"name": "f", "arguments": t}}]}]}, id="arguments"),
    pytest.param(ChatCompletionRequest, lambda t: {"messages": [{"role": "a", "thinking_blocks": [{"type": "thinking", "thinking": t}]}]}, id="thinking"),
    pytest.param(ChatCompletionRequest, lambda t: {"messages": [{"role": "a"}], "tools": [{"type": "function", "function": {"name": "f", "description": t}}]}, id="tool"),
    pytest.param(ChatCompletionRequest, lambda t: {"messages": [{"role": "a"}], "functions": [{"name": "f", "parameters": {t: t}}]}, id="function"),
    pytest.param(ChatCompletionRequest, lambda t: {"messages": [{"role": "a"}], "unheard_of": t}, id="unknown-field"),
    pytest.param(CompletionRequest, lambda t: {"prompt": t}, id="prompt"),
    pytest.param(CompletionRequest, lambda t: {"prompt": [t, "x"]}, id="prompts"),
    pytest.param(EmbeddingRequest, lambda t: {"input": [t]}, id="input"),
    pytest.param(MessagesRequest, lambda t: {"max_tokens": 1, "messages": [{"role": "u", "content": ""}], "system": t}, id="system"),
    pytest.param(MessagesRequest, lambda t: {"max_tokens": 1, "messages": [{"role": "u", "content": [{"type": "tool_use", "input": {t: [t]}}]}]}, id="tool-input"),
    pytest.param(MessagesRequest, lambda t: {"max_tokens": 1, "messages": [{"role": "u", "content": [{"type": "tool_result", "content": [{"type": "text", "text": t}]}]}]}, id="tool-result"),
    pytest.param(MessagesRequest, lambda t: {"max_tokens": 1, "messages": [{"role": "u", "content": [{"type": "web_result", "content": {"error": t}}]}]}, id="object-result"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "place"), PLACES)
@given(text=st.text(min_size=1, max_size=200))
def test_the_bound_is_never_less_than_the_bytes_of_a_text(
    kind: type[Request], place: Callable[[str], Json], text: str
) -> None:
    """A token has at least one byte, so what is not fewer than the bytes is not fewer than the tokens."""
    assert input_bound(measured(kind, **place(text)), 0, 0) >= len(text.encode())


@given(text=st.text(max_size=50), times=st.integers(1, 100))
def test_text_is_counted_once_however_it_is_escaped(text: str, times: int) -> None:
    """Escapes are up to six times as long as what they say; none of that is taken for a hidden field."""
    escaped = "".join(f"\\u{unit:04x}" for unit in _utf16(text * times))
    body = f'{{"model":"m","messages":[{{"role":"user","content":"{escaped}"}}]}}'.encode()
    assert measured_bytes(ChatCompletionRequest, body) == PromptSize(len(text.encode()) * times, 1)


def _utf16(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param(ChatCompletionRequest, {"role": "user", "content": "hi"}, id="of-a-message"),
        pytest.param(MessagesRequest, {"role": "user", "content": [{"type": "search", "content": [{"type": "hit"}]}]}, id="of-a-turn"),
    ],
)  # fmt: skip
def test_what_hides_in_unknown_fields_counts(kind: type[Request], message: Json) -> None:
    """All of it, but for what the JSON around a message may take."""
    hidden = measured(kind, max_tokens=1, messages=[{**message, "encrypted_content": DATA * 100}]).text_bytes
    assert len(DATA) * 100 - 1100 < hidden < len(DATA) * 100 + 100


def test_a_conversation_without_unknown_fields_counts_only_its_text() -> None:
    """A thousand messages indented by four, as a person would write them."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "größe"}]}] * 1000
    body = msgspec.json.format(ENCODE({"model": "m", "messages": messages}), indent=4)
    assert measured_bytes(ChatCompletionRequest, body) == PromptSize(7000, 1000)


SIZE = PromptSize(text_bytes=101, messages=2, images=1, files=1, tokens=10)


def test_the_bound_is_the_contracts_formula() -> None:
    """Bytes, eight a message, the most for an image and a file."""
    assert input_bound(SIZE, 4_784, 1_000_000) == 101 + 10 + 16 + 4_784 + 1_000_000


def test_the_estimate_takes_four_bytes_for_a_token() -> None:
    """Rounded up, with what is usual for a message, an image and a file."""
    assert estimated_input_tokens(SIZE) == 26 + 10 + 8 + 1_000 + 5_000


@given(
    st.builds(PromptSize, *[st.integers(0, 10**9)] * 2, *[st.integers(0, 1000)] * 2, st.integers(0, 10**6)),
    st.sampled_from(["openai", "anthropic"]),
)
def test_an_estimate_is_within_the_bound(size: PromptSize, dialect: str) -> None:
    """For every dialect's maxima."""
    assert estimated_input_tokens(size) <= input_bound(size, IMAGE_TOKENS[dialect], FILE_TOKENS[dialect])


@pytest.mark.parametrize(
    ("asked", "tokens", "names"),
    [
        pytest.param(request(ChatCompletionRequest), 4096, False, id="the-models-default"),
        pytest.param(request(ChatCompletionRequest, n=3), 3 * 4096, False, id="for-each-answer"),
        pytest.param(request(ChatCompletionRequest, max_tokens=10), 10, True, id="max-tokens"),
        pytest.param(request(ChatCompletionRequest, max_completion_tokens=20, n=2), 40, True, id="max-completion-tokens"),
        pytest.param(request(ChatCompletionRequest, max_completion_tokens=20, max_tokens=30), 30, True, id="the-larger-of-two"),
        pytest.param(request(ChatCompletionRequest, max_tokens=10, prediction={"type": "content", "content": "größe"}), 17, True, id="a-rejected-prediction"),
        pytest.param(request(ChatCompletionRequest, max_tokens=10, prediction={"type": "content", "content": [{"type": "text", "text": "abc"}]}), 13, True, id="a-prediction-in-parts"),
        pytest.param(request(CompletionRequest), 4096, False, id="a-completion"),
        pytest.param(request(CompletionRequest, max_tokens=0), 0, True, id="nothing"),
        pytest.param(request(CompletionRequest, max_tokens=10, n=2, best_of=5), 50, True, id="best-of-five"),
        pytest.param(request(CompletionRequest, max_tokens=10, n=2, prompt=["a", "b", "c"]), 60, True, id="for-each-prompt"),
        pytest.param(request(CompletionRequest, max_tokens=10, prompt=[1, 2, 3]), 10, True, id="token-ids-are-one-prompt"),
        pytest.param(request(EmbeddingRequest), 0, True, id="vectors-have-no-tokens"),
        pytest.param(request(MessagesRequest, max_tokens=10), 10, True, id="anthropics-always-has-one"),
        pytest.param(request(CountTokensRequest), 0, True, id="a-count-answers-nothing"),
    ],
)  # fmt: skip
def test_the_answers_bound(asked: Request, tokens: int, names: bool) -> None:
    assert (max_output(asked, 4096), names_maximum(asked)) == (tokens, names)


@pytest.mark.parametrize(
    ("kind", "body", "model", "sent"),
    [
        pytest.param(ChatCompletionRequest, {}, "gpt-4o-mini", {"max_tokens": 4096}, id="the-word-that-all-know"),
        pytest.param(ChatCompletionRequest, {}, "gpt-5-mini", {"max_completion_tokens": 4096}, id="a-reasoning-model"),
        pytest.param(ChatCompletionRequest, {"max_tokens": None}, "o3", {"max_completion_tokens": 4096}, id="a-null-is-no-maximum"),
        pytest.param(ChatCompletionRequest, {"max_tokens": 5}, "o3", {"max_tokens": 5}, id="the-callers-own-stays"),
        pytest.param(ChatCompletionRequest, {"max_completion_tokens": 5}, "m", {"max_completion_tokens": 5}, id="under-its-own-name"),
        pytest.param(CompletionRequest, {}, "gpt-5", {"max_tokens": 4096}, id="a-completion"),
        pytest.param(EmbeddingRequest, {}, "e", {}, id="vectors"),
        pytest.param(MessagesRequest, {"max_tokens": 5}, "claude", {"max_tokens": 5}, id="a-message"),
    ],
)  # fmt: skip
def test_sending_a_maximum(kind: type[Request], body: Json, model: str, sent: Json) -> None:
    asked = request(kind, **body)
    given_members = members(ENCODE({"model": "m", "temperature": 1, **body}))
    found = msgspec.json.decode(ENCODE(with_maximum(given_members, asked, 4096, model)), type=Json)
    assert found == {"model": "m", "temperature": 1, **sent}
    assert "max_tokens" not in given_members or given_members["max_tokens"] != b"4096"


@pytest.mark.parametrize(
    ("model", "field"),
    [
        pytest.param("gpt-4o", "max_tokens", id="gpt-4o"),
        pytest.param("o4-mini", "max_completion_tokens", id="o4"),
        pytest.param("gpt-6-sol", "max_completion_tokens", id="gpt-6"),
        pytest.param("gpt-10", "max_completion_tokens", id="gpt-10"),
        pytest.param("openai/gpt-5", "max_completion_tokens", id="with-its-makers-name"),
        pytest.param("olmo-2", "max_tokens", id="an-o-without-a-digit"),
        pytest.param("gpt-oss-120b", "max_tokens", id="gpt-oss"),
    ],
)
def test_how_the_maximum_is_called(model: str, field: str) -> None:
    assert maximum_field(model) == field


@pytest.mark.parametrize(
    ("rates", "nano"),
    [
        pytest.param((), 0, id="no-price-is-known"),
        pytest.param((Rates(0, 0, 0, 0),), 0, id="free"),
        pytest.param((Rates(1, 0, 0, 1),), 2, id="rounded-up"),
        pytest.param((Rates(3_000_000, 300_000, 3_750_000, 15_000_000),), 3_750_000 + 1_500_000, id="all-of-the-input-may-be-written-to-a-cache"),
        pytest.param((Rates(2000, 5000, 1, 0),), 5000, id="or-be-read-from-one-that-costs-more"),
        pytest.param((Rates(1000, 1000, 1000, 0), Rates(0, 0, 0, 20_000)), 2000, id="the-dearest-target-for-this-request"),
    ],
)  # fmt: skip
def test_cost_bounds(rates: tuple[Rates, ...], nano: int) -> None:
    assert cost_bound_nano_usd(rates, 1000, 100) == nano


RATES = st.builds(Rates, *[st.integers(0, 10**9)] * 4)
TOKENS = st.integers(0, 10**7)


@given(
    rates=st.lists(RATES, min_size=1, max_size=3),
    plain=TOKENS,
    cached=TOKENS,
    written=TOKENS,
    for_an_hour=TOKENS,
    output=TOKENS,
    slack=TOKENS,
)
def test_no_usage_within_the_tokens_costs_more_than_the_bound(
    rates: list[Rates], plain: int, cached: int, written: int, for_an_hour: int, output: int, slack: int
) -> None:
    """Whichever target answers, and however much of the input was cached."""
    usage = Usage(plain + cached + written, cached, written, output)
    bound = cost_bound_nano_usd(tuple(rates), usage.input_tokens + slack, output + slack)
    assert all(cost_nano_usd(each, usage) <= bound for each in rates)
    usage = msgspec.structs.replace(usage, hour_write_tokens=min(written, for_an_hour))
    bound = cost_bound_nano_usd(tuple(rates), usage.input_tokens + slack, output + slack, for_an_hour=True)
    assert all(cost_nano_usd(each, usage) <= bound for each in rates)


@pytest.mark.parametrize(
    ("body", "asks"),
    [
        pytest.param({"messages": "x", "system": "1 hour, 1h"}, False, id="nothing-of-it"),
        pytest.param({"system": [{"text": "x", "cache_control": {"ttl": "5m"}}]}, False, id="five-minutes"),
        pytest.param({"system": [{"text": "x", "cache_control": {"ttl": "1h"}}]}, True, id="an-hour"),
    ],
)
def test_whether_something_is_to_be_kept_for_an_hour(body: dict[str, object], *, asks: bool) -> None:
    assert (
        writes_for_an_hour({name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()})
        == asks
    )


def test_an_hour_that_is_hidden_in_escapes_is_found() -> None:
    assert writes_for_an_hour({"system": msgspec.Raw(rb'[{"ttl": "1\u0068"}]')})
