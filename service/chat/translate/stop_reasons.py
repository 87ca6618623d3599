"""Why an answer ended, both ways: two tables.

Source: Anthropic, "Handling stop reasons"; OpenAI, the chat completion object's `finish_reason`.
"""

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "stop",
    "model_context_window_exceeded": "length",
}

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def finish_reason(stop_reason: str | None) -> str | None:
    """OpenAI's word for Anthropic's; reasons not known yet are a plain `stop`, none stays none."""
    return None if stop_reason is None else FINISH_REASONS.get(stop_reason, "stop")


def stop_reason(finish_reason: str | None, *, called_tools: bool, refused: bool) -> str | None:
    """Anthropic's word for OpenAI's; unknown ones end the turn, none stays none.

    called_tools: OpenAI says `stop` for a forced tool too, where clients of Anthropic look for
    `tool_use`. refused: OpenAI says `stop` after a refusal.
    """
    if finish_reason is None:
        return None
    found = STOP_REASONS.get(finish_reason, "end_turn")
    if found != "end_turn":
        return found
    if refused:
        return "refusal"
    return "tool_use" if called_tools else found
