"""What a provider's whole answers mean, which headers go to it, and what of its messages shows."""

from collections.abc import Callable

import pytest

from service.pricing.arithmetic import Usage
from service.providers.anthropic import AnthropicCodec
from service.providers.base import Fault, FaultKind
from service.providers.openai import OpenAICodec
from service.wire.sse import Event

OPENAI = OpenAICodec(lambda: 1_700_000_000.0)
ANTHROPIC = AnthropicCodec(lambda: 1_700_000_000.0)


def fault_of(act: Callable[[], object]) -> Fault:
    """The fault that it raises."""
    with pytest.raises(Fault) as caught:
        act()
    return caught.value


CODECS = [pytest.param(OPENAI, id="openai"), pytest.param(ANTHROPIC, id="anthropic")]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"", FaultKind.EMPTY, id="nothing"),
        pytest.param(b" \r\n", FaultKind.EMPTY, id="white-space"),
        pytest.param(b"<html><body>502</body></html>", FaultKind.EMPTY, id="html"),
        pytest.param(b"\n <!DOCTYPE html>", FaultKind.EMPTY, id="html-after-a-line"),
        pytest.param(b"{}", FaultKind.EMPTY, id="an-empty-object"),
        pytest.param(b'{"object":"list"}', FaultKind.EMPTY, id="without-an-answer"),
        pytest.param(b'{"choices":[]}', FaultKind.EMPTY, id="no-choice"),
        pytest.param(b'{"choices":[{"message":{"conte', FaultKind.CUT, id="broken-off"),
        pytest.param(b'{"content":[],"choices":[],"x":"\xff"}', FaultKind.CUT, id="no-utf-8"),
        pytest.param(b'{"choices":[]}{"choices":[]}', FaultKind.CUT, id="two-answers"),
        pytest.param(b"null", FaultKind.CUT, id="null"),
        pytest.param(b"OK", FaultKind.CUT, id="text"),
        pytest.param(b"{" * 100_000, FaultKind.CUT, id="depth-without-end"),
    ],
)
@pytest.mark.parametrize("codec", CODECS)
def test_a_200_that_is_no_answer(codec: OpenAICodec | AnthropicCodec, body: bytes, kind: FaultKind) -> None:
    assert fault_of(lambda: codec.read_answer(body)).kind is kind


def test_embeddings_are_answers() -> None:
    """They have `data` and only input tokens."""
    found = OPENAI.read_answer(
        b'{"data":[{"embedding":[0.1]}],"model":"e","usage":{"prompt_tokens":3,"total_tokens":3}}'
    )
    assert (found.usage, found.model) == (Usage(3, 0, 0, 0, 0), "e")


def test_a_message_is_an_answer() -> None:
    """Its input is what it names in three parts."""
    usage = (
        b'{"input_tokens":10,"cache_read_input_tokens":4,"cache_creation_input_tokens":2,"output_tokens":5}'
    )
    found = ANTHROPIC.read_answer(b'{"type":"message","content":[],"model":"claude","usage":' + usage + b"}")
    assert (found.usage, found.model) == (Usage(16, 4, 2, 5), "claude")


def test_a_count_of_tokens_is_an_answer_without_usage() -> None:
    """Nothing was generated, so nothing is metered."""
    assert ANTHROPIC.read_answer(b'{"input_tokens":12}').usage is None


@pytest.mark.parametrize(
    ("codec", "offered", "expected"),
    [
        pytest.param(OPENAI, {}, (), id="openai-nothing"),
        pytest.param(OPENAI, {"openai-beta": "a", "anthropic-beta": "b"}, (("OpenAI-Beta", "a"),), id="openai-its-own"),
        pytest.param(ANTHROPIC, {}, (("anthropic-version", "2023-06-01"),), id="anthropic-a-version-always"),
        pytest.param(ANTHROPIC, {"anthropic-version": "2030-01-01", "anthropic-beta": "b", "openai-beta": "a"}, (("anthropic-version", "2030-01-01"), ("anthropic-beta", "b")), id="anthropic-its-own"),
    ],
)  # fmt: skip
def test_the_callers_headers_that_pass(
    codec: OpenAICodec | AnthropicCodec, offered: dict[str, str], expected: tuple[tuple[str, str], ...]
) -> None:
    assert codec.pass_on(offered) == expected


def test_each_dialect_has_its_credentials() -> None:
    """None where no key is configured."""
    assert OPENAI.credentials("k") == (("Authorization", "Bearer k"),)
    assert ANTHROPIC.credentials("k") == (("x-api-key", "k"),)
    assert OPENAI.credentials(None) == ANTHROPIC.credentials(None) == ()


@pytest.mark.parametrize(
    "make", [pytest.param(OpenAICodec, id="openai"), pytest.param(AnthropicCodec, id="anthropic")]
)
def test_every_message_of_the_provider_is_concealed(make: type[OpenAICodec | AnthropicCodec]) -> None:
    """Refusals, error events and errors in a 200."""
    codec = make(lambda: 0.0, lambda message: message.replace("secret", "***"))
    body = b'{"type":"error","error":{"message":"a secret"}}'
    assert codec.fault(400, {}, body).detail == "a ***"
    assert fault_of(lambda: codec.read_answer(body)).detail == "a ***"
    assert fault_of(lambda: codec.reader(pass_usage=False).take(Event(body))).detail == "a ***"
