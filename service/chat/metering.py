"""How many tokens a call took where its provider didn't say, and how its row calls its end. Pure."""

from service.chat.call import Call
from service.limits import bound
from service.pricing.arithmetic import Usage
from service.providers.base import Fault, FaultKind, Operation, Reader
from service.telemetry.facts import Facts
from service.usage.row import Outcome
from service.wire.openai import CompletionRequest
from service.wire.strict import Members

BYTES_PER_TOKEN = 4
"""English text and JSON run at three to five bytes a token with today's tokenizers."""

BYTES_PER_DENSE_TOKEN = 8
"""A stream is cut only for what it certainly brought: prose has no more bytes a token than this."""

PROMPT_MEMBERS = ("messages", "system", "tools", "input", "prompt")

NOTHING = Usage(0, 0, 0, 0)

# Names of the module's own: reading a member of an enumeration's class takes 130 ns with Python 3.11.
_COUNT_TOKENS, _CLIENT_ABORT = Operation.COUNT_TOKENS, Outcome.CLIENT_ABORT

LEDGER_OUTCOMES = {
    "complete": Outcome.COMPLETE,
    "client_abort": Outcome.CLIENT_ABORT,
    "upstream_error": Outcome.UPSTREAM_ERROR,
    "upstream_truncated": Outcome.UPSTREAM_TRUNCATED,
    "timeout": Outcome.TIMEOUT,
    "budget_cut": Outcome.BUDGET_CUT,
    "server_shutdown": Outcome.CANCELLED,
    "cancelled": Outcome.CANCELLED,
    "internal_error": Outcome.GATEWAY_CRASH,
}
"""How the log calls an end, and how the ledger does."""

UNREACHED = "timeout_connect"
"""The reason of a timeout that no provider ever saw."""

WORKED = frozenset({FaultKind.CUT, FaultKind.STALLED, FaultKind.TIMED_OUT})
"""Faults of a provider that had begun, or may have."""


def ledger_outcome(facts: Facts) -> Outcome:
    """How a call that reached a provider ended; a task that was cancelled for its client's sake says nothing."""
    return LEDGER_OUTCOMES.get(facts.outcome, _CLIENT_ABORT)


def rough_input_tokens(members: Members) -> int:
    """A prompt's tokens by the length of its JSON: half a microsecond, for the row of a crash."""
    size = 0
    for name in PROMPT_MEMBERS:
        if name in members:
            size += len(members[name])
    return -(-size // BYTES_PER_TOKEN) or 1


def measured_output(reader: Reader) -> int:
    """The least number of output tokens that a stream's events so far can stand for."""
    reported = reader.usage
    return max(
        reader.content_events,
        reader.content_bytes // BYTES_PER_DENSE_TOKEN,
        0 if reported is None else reported.output_tokens,
    )


def surely_within(reader: Reader, output_tokens: int) -> bool:
    """Whether `measured_output` is no more than that, found out with as little as possible."""
    if reader.content_events > output_tokens or reader.content_bytes > output_tokens * BYTES_PER_DENSE_TOKEN:
        return False
    reported = reader.usage
    return reported is None or reported.output_tokens <= output_tokens


def may_have_worked(fault: Fault) -> bool:
    """Whether a provider whose attempt ended like this may have read the prompt all the same: not if it refused."""
    return fault.kind in WORKED and fault.reason != UNREACHED


def echoed_bytes(request: bound.Request) -> int:
    """Bytes of its prompt that a completion's answers begin with (`echo`), which are no output.

    A token that came as a number counts as four.
    """
    if not isinstance(request, CompletionRequest) or not request.echo:
        return 0
    prompts = request.prompt if isinstance(request.prompt, list) else [request.prompt or ""]
    size = sum(
        len(prompt.encode())
        if isinstance(prompt, str)
        else BYTES_PER_TOKEN * (len(prompt) if isinstance(prompt, list) else 1)
        for prompt in prompts
    )
    return size * (request.n or 1)


def estimated_usage(
    reported: Usage | None,
    *,
    call: Call,
    reader: Reader | None,
    answer_bytes: int,
    worked: bool,
    at_most: int | None = None,
) -> tuple[Usage, bool]:
    """What a call used, and whether any of it is an estimate.

    reported: the provider's last word. A stream that was not complete has brought at least what
    came of it, whatever its provider had reported by then. reader: a stream's, else None.
    answer_bytes: of a whole answer. worked: whether a provider that brought nothing may have read
    the prompt. at_most: the output tokens that were reserved, where a budget counts.
    """
    if call.surface.operation is _COUNT_TOKENS:
        return NOTHING, False
    # A whole answer's report comes with its end, a stream's may come before it.
    whole = reader is None or reader.finished
    if whole and reported is not None and reported.output_tokens:
        return reported, False
    output = _estimated_output(call, reader, answer_bytes)
    if at_most is not None:
        output = min(output, at_most)
    if reported is not None:
        if reported.output_tokens >= output:
            return reported, False
        return _with_output(reported, output), True
    if not output and not worked:
        return NOTHING, False
    return Usage(
        bound.estimated_input_tokens(bound.prompt_size(call.request, call.members)), 0, 0, output
    ), True


def _estimated_output(call: Call, reader: Reader | None, answer_bytes: int) -> int:
    events, size = (reader.content_events, reader.content_bytes) if reader else (0, answer_bytes)
    if echoed := echoed_bytes(call.request):
        # Which events are of the prompt is not to be told.
        events, size = 0, max(size - echoed, 0)
    output = max(events, -(-size // BYTES_PER_TOKEN))
    if bound.names_maximum(call.request):
        return min(output, bound.max_output(call.request, output))
    return output


def _with_output(usage: Usage, output_tokens: int) -> Usage:
    return Usage(
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        output_tokens,
        usage.reasoning_tokens,
        usage.hour_write_tokens,
    )
