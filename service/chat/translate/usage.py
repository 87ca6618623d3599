"""Tokens: OpenAI's prompt includes the cached ones, Anthropic's input excludes them."""

from msgspec import UNSET, UnsetType

from service.wire import anthropic, openai


def to_openai(usage: anthropic.Usage) -> openai.Usage:
    """Prompt tokens are Anthropic's input, cache reads and cache writes together."""
    read = usage.cache_read_input_tokens or 0
    written = usage.cache_creation_input_tokens or 0
    prompt_tokens = (usage.input_tokens or 0) + read + written
    completion_tokens = usage.output_tokens or 0
    details = usage.output_tokens_details
    thinking = openai.CompletionTokensDetails(details.thinking_tokens) if details else UNSET
    return openai.Usage(
        prompt_tokens,
        completion_tokens,
        prompt_tokens + completion_tokens,
        openai.PromptTokensDetails(read, written or UNSET),
        thinking,
    )


def to_anthropic(usage: openai.Usage | UnsetType | None) -> anthropic.Usage:
    """Input tokens are those of the prompt that are neither read from nor written to a cache; zeros where unknown."""
    if not usage:
        return anthropic.Usage(input_tokens=0, output_tokens=0)
    prompt = usage.prompt_tokens_details or openai.PromptTokensDetails()
    read, written = prompt.cached_tokens or 0, prompt.cache_write_tokens or 0
    completion = usage.completion_tokens_details or openai.CompletionTokensDetails()
    reasoning = completion.reasoning_tokens
    return anthropic.Usage(
        input_tokens=max(usage.prompt_tokens - read - written, 0),
        cache_creation_input_tokens=written,
        cache_read_input_tokens=read,
        output_tokens=usage.completion_tokens,
        output_tokens_details=UNSET if reasoning is None else anthropic.OutputTokensDetails(reasoning),
    )


def newer(usage: anthropic.Usage, older: anthropic.Usage) -> anthropic.Usage:
    """A stream's counts are cumulative: what the newer event names replaces the older."""
    return anthropic.Usage(
        input_tokens=_known(usage.input_tokens, older.input_tokens),
        cache_creation_input_tokens=_known(
            usage.cache_creation_input_tokens, older.cache_creation_input_tokens
        ),
        cache_read_input_tokens=_known(usage.cache_read_input_tokens, older.cache_read_input_tokens),
        output_tokens=_known(usage.output_tokens, older.output_tokens),
        output_tokens_details=usage.output_tokens_details or older.output_tokens_details,
    )


def _known(new: int | UnsetType | None, old: int | UnsetType | None) -> int | UnsetType | None:
    return new if isinstance(new, int) else old
