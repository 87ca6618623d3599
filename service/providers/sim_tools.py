"""When the simulated model calls tools, and with what. Pure."""

import re
from dataclasses import dataclass
from hashlib import blake2b

from service.providers import sim_schema, sim_words
from service.wire.openai import ChatCompletionRequest, Function, NamedToolChoice

MAX_CALLS = 128

_ASKED = re.compile(r"\bcall\s+([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Call:
    """One call. pieces: its arguments as JSON text, torn as they are streamed."""

    id: str
    name: str
    pieces: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """One for the name, and one for each piece."""
        return 1 + len(self.pieces)


def planned_calls(request: ChatCompletionRequest, heard: str, seed: int) -> tuple[Call, ...]:
    """The calls with which the model answers; none: it answers with text.

    A function is called where `tool_choice` demands it, and where `heard`, the last message if it
    is the user's, says `call <name>`, once for each time that it says so.
    """
    functions = {tool.function.name: tool.function for tool in request.tools or () if tool.function}
    names = _chosen(request, list(functions), _ASKED.findall(heard))
    most = 1 if request.parallel_tool_calls is False else MAX_CALLS
    return tuple(_call(functions[name], seed, number) for number, name in enumerate(names[:most]))


def _chosen(request: ChatCompletionRequest, known: list[str], asked: list[str]) -> list[str]:
    choice = request.tool_choice
    if not known or choice == "none":
        return []
    if isinstance(choice, NamedToolChoice) and choice.function:
        return [name for name in known if name == choice.function.name]
    wanted = [name for name in asked if name in known]
    return known[:1] if choice == "required" and not wanted else wanted


def _call(function: Function, seed: int, number: int) -> Call:
    arguments = sim_schema.example(function.parameters) if function.parameters else "{}"
    digest = blake2b(f"{seed}:{number}".encode(), digest_size=12).hexdigest()
    return Call(f"call_{digest}", function.name, tuple(sim_words.pieces(arguments)))


def within(calls: tuple[Call, ...], limit_tokens: int) -> tuple[Call, ...]:
    """`calls` as far as `limit_tokens` reach: the last one's arguments may break off."""
    kept: list[Call] = []
    for call in calls:
        if limit_tokens <= 0:
            break
        kept.append(Call(call.id, call.name, call.pieces[: limit_tokens - 1]))
        limit_tokens -= call.tokens
    return tuple(kept)
