"""The client's verdict on one streamed answer: every token, in order, and the end. No socket.

Written apart from the gateway's own decoder, so that no mistake is shared with what it judges.
It reads the lines that OpenAI-compatible servers send (LF or CRLF, one `data:` line per event,
`id:` and comment lines passed over), not the whole standard.
"""

import msgspec


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    finish_reason: str | None = None


class _Usage(msgspec.Struct, gc=False):
    completion_tokens: int


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: dict[str, object] | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


def order_fault(seen: list[int], tokens: int) -> str | None:
    """What is wrong with the token numbers `seen`, which should be 0 … tokens - 1; None if nothing."""
    if seen == list(range(tokens)):
        return None
    if len(seen) != len(set(seen)) or any(number >= tokens for number in seen):
        return "extra event"
    return "lost event" if len(seen) < tokens else "swapped order"


class StreamChecker:
    """Feed it what arrives, ask it at the end. Counts tokens as they come, for the clocks.

    tokens: how many the answer must have. The request must have asked for the usage chunk.
    """

    __slots__ = ("_done", "_fault", "_finishes", "_rest", "_seen", "_tokens", "_usage_tokens")

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._seen: list[int] = []
        self._rest = b""
        self._finishes = 0
        self._usage_tokens: int | None = None
        self._done = False
        self._fault: str | None = None

    def feed(self, piece: bytes) -> int:
        """Take the next bytes of the body; return how many tokens they completed."""
        before = len(self._seen)
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                self._take(line[5:].strip())
        return len(self._seen) - before

    def close(self) -> str | None:
        """The fault of the whole stream, now that its body has ended; None if it is right."""
        usage_is_right = self._usage_tokens == self._tokens
        return (
            self._fault
            or (None if self._done else "no [DONE]")
            or order_fault(self._seen, self._tokens)
            or (None if self._finishes == 1 else "no finish_reason")
            or (None if usage_is_right else "wrong usage")
            or (f"bytes after the end: {self._rest[:40]!r}" if self._rest.strip() else None)
        )

    def _take(self, data: bytes) -> None:
        if self._done:
            self._fault = self._fault or "event after [DONE]"
        elif data == b"[DONE]":
            self._done = True
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        try:
            chunk = _CHUNK.decode(data)
            for choice in chunk.choices:
                if choice.delta.content:
                    self._seen.append(int(choice.delta.content))
                if choice.finish_reason is not None:
                    self._finishes += choice.finish_reason == "stop"
        except (msgspec.MsgspecError, ValueError):
            self._fault = self._fault or f"not a chunk: {data[:40]!r}"
            return
        if chunk.error is not None:
            self._fault = self._fault or f"error event: {str(chunk.error)[:120]}"
        if chunk.usage is not None:
            self._usage_tokens = chunk.usage.completion_tokens


class _Message(msgspec.Struct, gc=False):
    content: str


class _WholeChoice(msgspec.Struct, gc=False):
    message: _Message


class _Whole(msgspec.Struct, gc=False):
    choices: tuple[_WholeChoice]
    usage: _Usage


_WHOLE = msgspec.json.Decoder(_Whole)


def whole_fault(body: bytes, said: str) -> str | None:
    """What is wrong with a JSON answer that should have the text `said`; None if nothing."""
    try:
        answer = _WHOLE.decode(body)
    except msgspec.MsgspecError:
        return f"not an answer: {body[:40]!r}"
    return None if answer.choices[0].message.content == said else "wrong answer"
