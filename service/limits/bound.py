"""How much a request can use at most, and how much it likely will: what is reserved before a call. Pure.

The bound rests on one fact: a token stands for at least one byte of UTF-8. So the bytes of all that a
model may read, with something per message for the marks between them, are never fewer than its tokens.
An image or a file counts as the most that any model makes of one. What a provider adds of its own
(instructions about tools, results of its search) is in no request: it is booked when it is billed.
"""

import re

import msgspec

from service.limits.prompt import PromptSize, Request, count_prompts, prompt_size
from service.pricing.arithmetic import HOUR_WRITE_INPUTS, PICO_PER_NANO, Rates
from service.wire.anthropic import MessagesRequest
from service.wire.openai import ChatCompletionRequest, CompletionRequest
from service.wire.strict import Members

__all__ = [
    "FILE_TOKENS",
    "IMAGE_TOKENS",
    "PromptSize",
    "Request",
    "cost_bound_nano_usd",
    "estimated_input_tokens",
    "input_bound",
    "max_output",
    "maximum_field",
    "names_maximum",
    "prompt_size",
    "with_maximum",
    "writes_for_an_hour",
]

TOKENS_PER_MESSAGE = 8
"""The marks around a message: three or four tokens with a role in today's chat templates."""

IMAGE_TOKENS = {"openai": 48_169, "anthropic": 4_784}
"""The most that one image is billed as, by the provider's dialect.

OpenAI: gpt-4o-mini in high detail, 2,833 + 5,667 for each of at most 2 × 4 tiles (768 × 2,048 pixels); its
other models, and Qwen's 16,384, stay below. Anthropic: its high resolution, in patches of 28 × 28 pixels.
"""

FILE_TOKENS = {"openai": 1_050_000, "anthropic": 1_000_000}
"""The most that one file is billed as, by the provider's dialect: the longest context window of its models.

A compressed file's size says nothing of its pages. Pass the model's own window where it is known.
"""

ESTIMATED_BYTES_PER_TOKEN = 4
ESTIMATED_TOKENS_PER_MESSAGE = 4
ESTIMATED_TOKENS_PER_IMAGE = 1_000
ESTIMATED_TOKENS_PER_FILE = 5_000
"""What is usual: an image of a megapixel, a file of two pages."""

_AN_HOUR = (b'"1h"', b"\\u0031", b"\\u0068")
"""How JSON may write it; nobody escapes these two characters without a purpose."""

# OpenAI's reasoning models refuse max_tokens, and it refuses both together.
_WANTS_MAX_COMPLETION_TOKENS = re.compile(r"(?:.*/)?(?:o\d|gpt-(?:[5-9]|\d\d))")


def input_bound(size: PromptSize, image_tokens: int, file_tokens: int) -> int:
    """Tokens that a prompt has at most. image_tokens, file_tokens: the most that one of them is billed as."""
    return (
        size.text_bytes
        + size.tokens
        + size.messages * TOKENS_PER_MESSAGE
        + size.images * image_tokens
        + size.files * file_tokens
    )


def estimated_input_tokens(size: PromptSize) -> int:
    """Tokens that a prompt likely has, for rates and for rows that a crash leaves."""
    return (
        -(-size.text_bytes // ESTIMATED_BYTES_PER_TOKEN)
        + size.tokens
        + size.messages * ESTIMATED_TOKENS_PER_MESSAGE
        + size.images * ESTIMATED_TOKENS_PER_IMAGE
        + size.files * ESTIMATED_TOKENS_PER_FILE
    )


def max_output(request: Request, default: int) -> int:
    """Tokens that all answers together have at most. default: for an answer whose request names no maximum.

    A request that names two maxima gets the larger one. Each prompt of a completion has its own answers, of
    which `best_of` are made where fewer are shown. The rejected part of a `prediction` is billed as output.
    """
    if isinstance(request, MessagesRequest):
        return request.max_tokens
    if isinstance(request, ChatCompletionRequest):
        named = max(request.max_completion_tokens or 0, request.max_tokens or 0) or default
        return named * (request.n or 1) + (_predicted_bytes(request) if request.prediction else 0)
    if isinstance(request, CompletionRequest):
        each = default if request.max_tokens is None else request.max_tokens
        return each * max(request.n or 1, request.best_of or 1) * count_prompts(request.prompt)
    return 0


def _predicted_bytes(request: ChatCompletionRequest) -> int:
    content = request.prediction.content if request.prediction else ""
    texts = [content] if isinstance(content, str) else [part.text or "" for part in content]
    return sum(len(text.encode()) for text in texts)


def names_maximum(request: Request) -> bool:
    """Whether the caller bounds the answer; vectors and counts have none to bound."""
    if isinstance(request, ChatCompletionRequest):
        return request.max_completion_tokens is not None or request.max_tokens is not None
    return not isinstance(request, CompletionRequest) or request.max_tokens is not None


def maximum_field(model: str) -> str:
    """How a chat model's maximum is called. model: the provider's name for it.

    `max_tokens` is the word that every OpenAI-compatible server knows; some ignore or refuse the newer
    one. Only OpenAI's reasoning models, known by their names, refuse the older one.
    """
    return "max_completion_tokens" if _WANTS_MAX_COMPLETION_TOKENS.match(model) else "max_tokens"


def with_maximum(members: Members, request: Request, default: int, model: str) -> Members:
    """The body's members, with `default` as each answer's maximum where the caller named none.

    model: the provider's name of the model that is asked. What was given stays as it was.
    """
    if names_maximum(request):
        return members
    field = maximum_field(model) if isinstance(request, ChatCompletionRequest) else "max_tokens"
    # A null of the other name would be the second of two, which OpenAI refuses.
    kept = {
        name: value for name, value in members.items() if name not in ("max_tokens", "max_completion_tokens")
    }
    kept[field] = msgspec.Raw(b"%d" % default)
    return kept


def writes_for_an_hour(members: Members) -> bool:
    """Whether a body may ask Anthropic to keep something in its cache for an hour: `"ttl": "1h"`. In doubt it does."""
    return any(
        any(spelling in data for spelling in _AN_HOUR)
        for data in map(bytes, members.values())
        # Most have neither.
        if b"cache_control" in data or b"\\u00" in data
    )


def cost_bound_nano_usd(
    rates: tuple[Rates, ...], input_tokens: int, output_tokens: int, *, for_an_hour: bool = False
) -> int:
    """What so many tokens cost at most, at the dearest of several targets; rounded up, 0 without any.

    Nobody knows before how much of the input is cached, so all of it counts at its dearest class.
    for_an_hour: it may be written to a cache for as long.
    """
    times, pico_usd = HOUR_WRITE_INPUTS if for_an_hour else 1, 0
    for each in rates:
        dearest = max(times * each.input, each.cached_input, each.cache_write)
        pico_usd = max(pico_usd, input_tokens * dearest + output_tokens * each.output)
    return -(-pico_usd // PICO_PER_NANO)
