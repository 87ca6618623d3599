"""Reading a request's body: what is asked, with the same care for every body but at the cost of one.

Load is the same body over and over, so what a body means is kept by its very bytes: a gateway
that changes any of them is read anew, and a prompt that arrives torn is refused.
"""

import msgspec

from benchmarks.upstream.script import NotAScript, Script, read

_KEPT_BODIES = 256


class _Part(msgspec.Struct, frozen=True):
    text: str = ""


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[_Part]


class _Body(msgspec.Struct, frozen=True):
    messages: list[_Message]
    stream: bool = False
    stream_options: dict[str, bool] | None = None


class Question(msgspec.Struct, frozen=True):
    """One request, understood."""

    stream: bool
    include_usage: bool
    script: Script


class Questions:
    """Understands bodies. `otherwise`: what holds where a prompt's script doesn't say, or has none."""

    def __init__(self, otherwise: Script) -> None:
        self._otherwise = otherwise
        self._known: dict[bytes, Question] = {}
        self._decoder = msgspec.json.Decoder(_Body)

    def understand(self, body: bytes) -> Question:
        """What `body` asks. Raises NotAScript, with what is wrong, also where it is no request."""
        known = self._known.get(body)
        if known is not None:
            return known
        question = self._read(body)
        if len(self._known) >= _KEPT_BODIES:
            self._known.clear()
        self._known[body] = question
        return question

    def _read(self, body: bytes) -> Question:
        try:
            asked = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise NotAScript(str(error)) from error
        if not asked.messages:
            raise NotAScript("no messages")
        content = asked.messages[-1].content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        options = asked.stream_options or {}
        return Question(asked.stream, options.get("include_usage", False), read(text, self._otherwise))
