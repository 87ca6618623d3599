"""How hard the model thinks: OpenAI's words against Anthropic's budgets, both ways.

Neither side documents an equivalence; the budgets follow the usual ratio of one to four to eight,
from the smallest that Anthropic takes upward.
"""

from service.chat.translate.result import Untranslatable, quoted
from service.wire.anthropic import Thinking

MIN_BUDGET_TOKENS = 1024
"""The smallest budget that Anthropic accepts."""

BUDGET_TOKENS = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 32768,
}
"""`reasoning_effort` to `thinking.budget_tokens`. `none` means no thinking."""

EFFORTS = ((4096, "low"), (16384, "medium"))
"""Budgets below each bound to a `reasoning_effort`; above them all it is `high`."""


def thinking_for(effort: str, max_tokens: int) -> Thinking | None:
    """The thinking that `effort` asks for within an answer of `max_tokens`, or None if there is no room.

    At most half of the answer goes to thinking, so that something is left to say. Raises
    Untranslatable for a word that is not in the table.
    """
    if effort == "none":
        return Thinking("disabled")
    if effort not in BUDGET_TOKENS:
        words = ", ".join(["none", *BUDGET_TOKENS])
        raise Untranslatable(
            "reasoning_effort", f"This model's provider knows no effort {quoted(effort)}; use one of {words}."
        )
    budget_tokens = min(BUDGET_TOKENS[effort], max_tokens // 2)
    return Thinking("enabled", budget_tokens) if budget_tokens >= MIN_BUDGET_TOKENS else None


def effort_for(budget_tokens: int) -> str:
    """The `reasoning_effort` that comes nearest, of the three that every reasoning model knows."""
    return next((effort for bound, effort in EFFORTS if budget_tokens < bound), "high")
