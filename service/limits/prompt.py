"""How large a request's prompt is: bytes of text, messages, images, files. Pure.

All that a model may read counts, by the UTF-8 bytes of the decoded text; what is JSON to the model too
(tools, schemas, a tool's input) by its own bytes. Base64 is no text: an image is an image whatever its
size, sound has a bound by its length, and a file is text where it says so, else a file. A part of an
unknown kind is a file. Fields that no Struct here knows count by their bytes, so that nothing is read
for free: see `_count_unread`. A short prompt takes some 2 µs, 100 KB of ASCII hardly more, of other scripts 50.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from service.wire.anthropic import ContentBlock, CountTokensRequest, MessageParam, MessagesRequest, Source
from service.wire.openai import (
    ChatCompletionRequest,
    ChatMessage,
    CompletionRequest,
    ContentPart,
    EmbeddingRequest,
    FilePart,
    InputAudio,
    JsonObject,
)
from service.wire.strict import Members

Request = ChatCompletionRequest | CompletionRequest | EmbeddingRequest | MessagesRequest | CountTokensRequest
Prompts = str | list[str | int | list[int]] | None

AUDIO_BYTES_PER_TOKEN = {"wav": 64}
"""The least sound data for a token. No model takes more than 50 tokens a second, and a second of WAV has
4,000 bytes at least (8 kHz, 4 bits)."""

COMPRESSED_AUDIO_BYTES_PER_TOKEN = 8
"""The same for MP3, Opus and what is unknown: a second has 750 bytes at least (6 kbit/s), half of it kept in hand."""

TEXT_PARTS = frozenset(("text", "input_text", "output_text", "refusal", "thinking"))
"""Parts of a chat message that are nothing but text."""

FRAME_BYTES = 256
"""What the JSON around one message or part may take (braces, names, ids, indentation) and is no text."""

MAX_ESCAPE_BYTES = 5
"""How much longer than its character an escape is: `\\u0041` has six bytes for one."""


class PromptSize(msgspec.Struct, frozen=True, gc=False):
    """What a prompt is made of. tokens: those that came counted, as token ids, and sound by its bound."""

    text_bytes: int
    messages: int = 0
    images: int = 0
    files: int = 0
    tokens: int = 0


def prompt_size(request: Request, members: Members) -> PromptSize:
    """Measure a request. members: the same one's top-level members, as the client wrote them."""
    measure, known, counted = _KINDS[type(request)]
    tally = _Tally([])
    measure(tally, request, members)
    for name in counted:
        if name in members:
            tally.text_bytes += len(members[name])
    if not known.issuperset(members):
        tally.text_bytes += sum(map(_text_like_bytes, (members[name] for name in members.keys() - known)))
    tally.count_texts()
    return PromptSize(tally.text_bytes, tally.messages, tally.images, tally.files, tally.tokens)


class _Tally(msgspec.Struct, gc=False):
    """texts: those that are still to be counted. text_bytes: what is counted.

    inline_bytes: base64 and URLs, which are part of the body but no text. frames: messages and parts.
    """

    texts: list[str]
    text_bytes: int = 0
    messages: int = 0
    images: int = 0
    files: int = 0
    tokens: int = 0
    inline_bytes: int = 0
    frames: int = 1

    def count_texts(self) -> None:
        """Count what was only noted."""
        if self.texts:
            # A loop, as most prompts have a text or two: to make a generator takes longer.
            size = 0
            for text in self.texts:
                size += len(text) if text.isascii() else len(text.encode())
            self.text_bytes += size
            self.texts = []

    def text(self, *values: object) -> None:
        """Note those that are text; None and UNSET aren't."""
        for value in values:
            if isinstance(value, str):
                self.texts.append(value)

    def json(self, value: JsonObject) -> None:
        """Count an object that the model reads as JSON."""
        self.texts.extend(value)
        self.text_bytes += sum(map(len, value.values())) + 4 * len(value)

    def image(self, *places: object) -> None:
        """Count an image; places: its data and URL, whichever it has."""
        self.images += 1
        self.inline_bytes += sum(len(place) for place in places if isinstance(place, str))

    def sound(self, sound: InputAudio) -> None:
        """Count sound by the most tokens that so many bytes can be."""
        self.inline_bytes += len(sound.data)
        least = AUDIO_BYTES_PER_TOKEN.get(sound.format, COMPRESSED_AUDIO_BYTES_PER_TOKEN)
        self.tokens += -(-_decoded_bytes(sound.data) // least)

    def file(self, data: str | None) -> None:
        """Count a file; data: its data URL, or None where it is somewhere else."""
        if data is not None:
            self.inline_bytes += len(data)
            head = data[:100].lower()
            if head.startswith("data:text/"):
                self.text_bytes += _decoded_bytes(data) if ";base64," in head else len(data)
                return
        self.files += 1


def _decoded_bytes(base64: str) -> int:
    return -(-len(base64) * 3 // 4)


def _text_like_bytes(raw: msgspec.Raw) -> int:
    return len(raw) if bytes(memoryview(raw)[:1]) in (b'"', b"[", b"{") else 0


def _count_unread(tally: _Tally, *raws: msgspec.Raw | None) -> None:
    """Count bytes of the conversation that neither a known field nor the JSON around it explains.

    Providers may read fields that no Struct here has (a search result's `encrypted_content`). Nothing
    is counted in a conversation without such fields, however its text is escaped.
    """
    tally.count_texts()
    unread = -(tally.inline_bytes + tally.text_bytes + FRAME_BYTES * tally.frames)
    for raw in raws:
        if raw is not None:
            unread += len(raw)
    if unread > 0:
        unread -= MAX_ESCAPE_BYTES * sum(bytes(raw).count(b"\\") for raw in raws if raw is not None)
        tally.text_bytes += max(unread, 0)


def _chat(tally: _Tally, request: ChatCompletionRequest, members: Members) -> None:
    tally.messages = len(request.messages)
    for message in request.messages:
        _chat_message(tally, message)
    _count_unread(tally, members.get("messages"))


def _chat_message(tally: _Tally, message: ChatMessage) -> None:
    tally.frames += 1
    content = message.content
    if isinstance(content, str):
        tally.texts.append(content)
    elif content is not None:
        for part in content:
            _chat_part(tally, part)
    if message.name or message.tool_call_id or message.refusal or message.reasoning_content:
        tally.text(message.name, message.tool_call_id, message.refusal, message.reasoning_content)
    if message.tool_calls or message.function_call or message.thinking_blocks:
        _calls(tally, message)
    if message.audio is not None:
        tally.file(None)


def _calls(tally: _Tally, message: ChatMessage) -> None:
    if message.function_call is not None:
        tally.text(message.function_call.name, message.function_call.arguments)
    for call in message.tool_calls or ():
        tally.frames += 1
        tally.text(call.id)
        if call.function:
            tally.text(call.function.name, call.function.arguments)
        if call.custom:
            tally.text(call.custom.name, call.custom.input)
    for block in message.thinking_blocks or ():
        tally.frames += 1
        tally.text(block.thinking, block.signature, block.data)


def _chat_part(tally: _Tally, part: ContentPart) -> None:
    tally.frames += 1
    if part.text is not None:
        tally.texts.append(part.text)
        if part.type == "text":
            return
    tally.text(part.refusal)
    if part.image_url is not None:
        tally.image(part.image_url.url)
    elif part.input_audio is not None:
        tally.sound(part.input_audio)
    elif part.file is not None:
        _chat_file(tally, part.file)
    elif part.type not in TEXT_PARTS:
        tally.file(None)


def _chat_file(tally: _Tally, file: FilePart) -> None:
    tally.text(file.filename)
    tally.file(file.file_data)


def _messages(tally: _Tally, request: MessagesRequest | CountTokensRequest, members: Members) -> None:
    tally.messages = len(request.messages)
    if request.system is not None:
        _content(tally, request.system)
    for message in request.messages:
        _turn(tally, message)
    _count_unread(tally, members.get("messages"), members.get("system"))


def _turn(tally: _Tally, message: MessageParam) -> None:
    tally.frames += 1
    _content(tally, message.content)


def _content(tally: _Tally, content: str | list[ContentBlock]) -> None:
    if isinstance(content, str):
        tally.texts.append(content)
    else:
        for block in content:
            _block(tally, block)


def _block(tally: _Tally, block: ContentBlock) -> None:
    tally.frames += 1
    if isinstance(block.text, str):
        tally.texts.append(block.text)
        if block.type == "text":
            return
    # A signature holds the whole of a thought whose text is a summary.
    tally.text(
        block.id, block.name, block.tool_use_id, block.thinking, block.signature, block.data, block.title
    )
    if isinstance(block.input, dict):
        tally.json(block.input)
    if isinstance(block.source, Source):
        _source(tally, block.type, block.source)
    else:
        tally.text(block.source)
    if isinstance(block.content, dict):
        tally.json(block.content)
    elif isinstance(block.content, str | list):
        _content(tally, block.content)
    if block.type == "container_upload":
        tally.file(None)


def _source(tally: _Tally, kind: str, source: Source) -> None:
    """An image's or a document's: text and blocks are read as they are, all else is a file."""
    if kind == "image":
        tally.image(source.data, source.url)
    elif source.type == "text":
        tally.text(source.data)
    elif isinstance(source.content, str):
        tally.texts.append(source.content)
    elif isinstance(source.content, list):
        for block in source.content:
            tally.frames += 1
            if bytes(block.get("type", b"")) == b'"image"':
                tally.images += 1
                tally.inline_bytes += sum(map(len, block.values()))
            else:
                tally.json(block)
    else:
        tally.files += 1
        tally.inline_bytes += sum(len(place) for place in (source.data, source.url) if isinstance(place, str))


def _completion(tally: _Tally, request: CompletionRequest, members: Members) -> None:
    _prompts(tally, request.prompt)
    tally.text(request.suffix)


def _embedding(tally: _Tally, request: EmbeddingRequest, members: Members) -> None:
    _prompts(tally, request.input)


def _prompts(tally: _Tally, prompts: Prompts) -> None:
    """Texts, and token ids, each of which is one token."""
    tally.messages = count_prompts(prompts)
    if isinstance(prompts, str):
        tally.texts.append(prompts)
        return
    for prompt in prompts or ():
        if isinstance(prompt, str):
            tally.texts.append(prompt)
        else:
            tally.tokens += len(prompt) if isinstance(prompt, list) else 1


def count_prompts(prompts: Prompts) -> int:
    """How many texts are asked for at once: one, or as many as the list has; bare token ids are one together."""
    if not isinstance(prompts, list):
        return 1
    apart = sum(not isinstance(prompt, int) for prompt in prompts)
    return apart + (apart < len(prompts)) or 1


def _names(kind: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind))


# A request's type to: how it is measured, the members that its Struct knows, and those that count as they are.
_KINDS: dict[type[Any], tuple[Callable[[_Tally, Any, Members], None], frozenset[str], tuple[str, ...]]] = {
    ChatCompletionRequest: (
        _chat,
        _names(ChatCompletionRequest),
        ("tools", "functions", "response_format", "prediction"),
    ),
    CompletionRequest: (_completion, _names(CompletionRequest), ()),
    EmbeddingRequest: (_embedding, _names(EmbeddingRequest), ()),
    MessagesRequest: (_messages, _names(MessagesRequest), ("tools", "output_config")),
    CountTokensRequest: (_messages, _names(CountTokensRequest), ("tools", "output_config")),
}
