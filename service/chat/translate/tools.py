"""Tools, the choice among them and calls of them, both ways."""

import msgspec
from msgspec import UNSET

from service.chat.translate.result import Untranslatable, quoted
from service.wire.anthropic import ContentBlock, ToolChoice, ToolDefinition
from service.wire.openai import (
    ChatCompletionRequest,
    Function,
    FunctionCall,
    FunctionName,
    JsonObject,
    NamedToolChoice,
    Tool,
    ToolCall,
)

_ARGUMENTS = msgspec.json.Decoder(JsonObject)
_ENCODER = msgspec.json.Encoder()
_OBJECT = msgspec.Raw(b'"object"')

CHOICES = {"auto": "auto", "none": "none", "required": "any"}
"""OpenAI's `tool_choice` to Anthropic's `type`; a named one is `tool`."""

CHOICES_BACK = {theirs: ours for ours, theirs in CHOICES.items()}

CLIENT_TOOL_TYPES = (UNSET, None, "custom")
"""What a tool that the client runs calls itself; all other types are Anthropic's own tools."""


def parse_arguments(text: str) -> JsonObject:
    """A call's arguments; nothing at all, as some servers send it, stands for none.

    Raises msgspec.DecodeError for what is no JSON object, or too deep to be read.
    """
    try:
        return _ARGUMENTS.decode(text) if text.strip() else {}
    except RecursionError:
        raise msgspec.DecodeError("The arguments are nested too deeply") from None


def render_arguments(arguments: JsonObject) -> str:
    """The same as OpenAI's JSON text."""
    return _ENCODER.encode(arguments).decode()


def tools_to_anthropic(tools: list[Tool]) -> list[ToolDefinition]:
    """Function tools by their schemas. Raises Untranslatable for tools of another kind."""
    return [_definition(tool, f"tools[{position}]") for position, tool in enumerate(tools)]


def _definition(tool: Tool, path: str) -> ToolDefinition:
    function = tool.function
    if tool.type != "function":
        raise Untranslatable(
            f"{path}.type",
            f"This model's provider knows no tool of type {quoted(tool.type)}; use a function.",
        )
    if function is None:
        raise Untranslatable(f"{path}.function", "A function tool needs its function; add it.")
    return ToolDefinition(
        name=function.name,
        description=UNSET if function.description is None else function.description,
        # Anthropic insists on the schema's type; OpenAI takes it as read.
        input_schema={"type": _OBJECT, **(function.parameters or {})},
        strict=UNSET if function.strict is None else function.strict,
        cache_control=tool.cache_control or UNSET,
    )


def choice_to_anthropic(request: ChatCompletionRequest) -> ToolChoice | None:
    """`tool_choice` and `parallel_tool_calls` as one. None where nothing needs saying."""
    choice = request.tool_choice
    if isinstance(choice, NamedToolChoice):
        if choice.function is None:
            raise Untranslatable("tool_choice.type", "This model's provider can force one function; name it.")
        kind, name = "tool", choice.function.name
    else:
        kind, name = _choice_kind(choice), ""
    one_at_a_time = request.parallel_tool_calls is False and kind != "none"
    # Without tools there is nothing to choose, and Anthropic refuses the field.
    if (choice is None and not one_at_a_time) or (kind in ("auto", "none") and not request.tools):
        return None
    return ToolChoice(kind, name or UNSET, one_at_a_time or UNSET)


def _choice_kind(choice: str | None) -> str:
    if choice is None:
        return "auto"
    if choice not in CHOICES:
        raise Untranslatable(
            "tool_choice", f"This model's provider knows no {quoted(choice)}; use auto, none or required."
        )
    return CHOICES[choice]


def call_to_anthropic(call: ToolCall, path: str) -> ContentBlock:
    """A tool call as a tool_use block. Raises Untranslatable for custom tools and arguments that are no JSON object."""
    if not call.function:
        raise Untranslatable(f"{path}.type", "This model's provider knows function calls only.")
    if not call.id:
        raise Untranslatable(f"{path}.id", "A tool call needs its id; send the one that the model gave.")
    return tool_use(call.id, call.function, f"{path}.function")


def tool_use(call_id: str, call: FunctionCall, path: str) -> ContentBlock:
    """A function's call as a tool_use block. Raises Untranslatable for arguments that are no JSON object."""
    try:
        arguments = parse_arguments(call.arguments)
    except msgspec.DecodeError:
        raise Untranslatable(
            f"{path}.arguments", "The arguments are not a JSON object; this model needs one."
        ) from None
    return ContentBlock(type="tool_use", id=call_id, name=call.name, input=arguments)


def tools_to_openai(tools: list[ToolDefinition]) -> list[Tool]:
    """The client's tools as functions. Raises Untranslatable for Anthropic's own tools."""
    return [_function(tool, f"tools[{position}]") for position, tool in enumerate(tools)]


def _function(tool: ToolDefinition, path: str) -> Tool:
    if tool.type not in CLIENT_TOOL_TYPES:
        raise Untranslatable(
            f"{path}.type", f"This model's provider has no tool {quoted(tool.type)}; define your own."
        )
    if not tool.name:
        raise Untranslatable(f"{path}.name", "A tool needs a name; add it.")
    function = Function(
        name=tool.name,
        description=tool.description or None,
        parameters=tool.input_schema or None,
        strict=tool.strict if isinstance(tool.strict, bool) else None,
    )
    return Tool(type="function", function=function)


def choice_to_openai(choice: ToolChoice) -> str | NamedToolChoice:
    """Anthropic's choice in OpenAI's words; whether calls may be parallel is another field there."""
    if choice.type == "tool" and choice.name:
        return NamedToolChoice("function", FunctionName(choice.name))
    if choice.type not in CHOICES_BACK:
        raise Untranslatable(
            "tool_choice.type", "This model's provider knows auto, any, none, and tool with a name."
        )
    return CHOICES_BACK[choice.type]


def call_to_openai(block: ContentBlock, number: int) -> ToolCall:
    """A tool_use block as a function call, the `number`-th of its message."""
    function = FunctionCall(block.name or "", render_arguments(block.input or {}))
    return ToolCall(id=block.id or f"call_{number}", function=function)
