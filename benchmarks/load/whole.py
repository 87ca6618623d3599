"""The client's verdict on one answer that isn't streamed. No socket."""

import msgspec

from benchmarks.load.checking import Dialect


class _Usage(msgspec.Struct, gc=False):
    completion_tokens: int


class _MessageUsage(msgspec.Struct, gc=False):
    output_tokens: int


class _Message(msgspec.Struct, gc=False):
    content: str


class _WholeChoice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: str | None


class _OpenAIWhole(msgspec.Struct, gc=False):
    choices: tuple[_WholeChoice]
    usage: _Usage

    @property
    def text(self) -> str:
        """What was said."""
        return self.choices[0].message.content

    @property
    def finished(self) -> bool:
        """Whether it says that it is complete."""
        return self.choices[0].finish_reason == "stop"

    @property
    def tokens(self) -> int:
        """How many it is said to have."""
        return self.usage.completion_tokens


class _Block(msgspec.Struct, gc=False):
    text: str


class _AnthropicWhole(msgspec.Struct, gc=False):
    content: tuple[_Block]
    stop_reason: str | None
    usage: _MessageUsage

    @property
    def text(self) -> str:
        """What was said."""
        return self.content[0].text

    @property
    def finished(self) -> bool:
        """Whether it says that it is complete."""
        return self.stop_reason == "end_turn"

    @property
    def tokens(self) -> int:
        """How many it is said to have."""
        return self.usage.output_tokens


_WHOLE: dict[Dialect, msgspec.json.Decoder[_OpenAIWhole] | msgspec.json.Decoder[_AnthropicWhole]] = {
    "openai": msgspec.json.Decoder(_OpenAIWhole),
    "anthropic": msgspec.json.Decoder(_AnthropicWhole),
}


def whole_fault(body: bytes, text: str, tokens: int, dialect: Dialect = "openai") -> str | None:
    """What is wrong with a JSON answer that should have `text`, counted as `tokens`; None if nothing."""
    try:
        answer = _WHOLE[dialect].decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return f"not an answer: {body[:40]!r}"
    if answer.text != text:
        return "wrong answer"
    if not answer.finished:
        return "no finish_reason"
    return None if answer.tokens == tokens else "wrong usage"
