"""A piece of an OpenAI-compatible answer, and how many bytes of it a model generated. Pure.

Source: OpenAI API reference; `reasoning_content` (DeepSeek, vLLM) and `reasoning` (OpenRouter, newer
vLLM) are the ecosystem's extensions.
"""

import msgspec

_NOTHING = msgspec.Raw(b"")


class _Function(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, frozen=True, gc=False):
    function: _Function | None = None


_TOOL_CALLS = msgspec.json.Decoder(list[_ToolCall])
_FUNCTION = msgspec.json.Decoder(_Function)
_TEXT = msgspec.json.Decoder(str)


class Delta(msgspec.Struct, frozen=True, gc=False):
    """An answer or a piece of one; what is no text is only metered."""

    content: str | None = None
    reasoning: msgspec.Raw = _NOTHING
    reasoning_content: msgspec.Raw = _NOTHING
    refusal: msgspec.Raw = _NOTHING
    tool_calls: msgspec.Raw = _NOTHING
    function_call: msgspec.Raw = _NOTHING

    @property
    def other_bytes(self) -> int:
        """Bytes of what is generated beside the text. Servers that have both names for thoughts send them twice."""
        return (
            max(_text_bytes(self.reasoning), _text_bytes(self.reasoning_content))
            + _text_bytes(self.refusal)
            + _called_bytes(self.tool_calls, self.function_call)
        )


def _text_bytes(raw: msgspec.Raw) -> int:
    if len(raw) <= 4:
        return max(len(raw) - 2, 0) if bytes(raw) != b"null" else 0
    try:
        return len(_TEXT.decode(raw).encode())
    except msgspec.MsgspecError:
        return len(raw)


def _called_bytes(calls: msgspec.Raw, call: msgspec.Raw) -> int:
    """Of names and arguments: the JSON around a piece of them is many times its size, and no token."""
    if len(calls) <= 4 and len(call) <= 4:
        return 0
    try:
        called = [each.function for each in _TOOL_CALLS.decode(calls)] if len(calls) > 4 else []
        called += [_FUNCTION.decode(call)] if len(call) > 4 else []
    except msgspec.MsgspecError:
        return len(calls) + len(call)
    pieces = [f"{each.name or ''}{each.arguments or ''}" for each in called if each is not None]
    return len("".join(pieces).encode())
