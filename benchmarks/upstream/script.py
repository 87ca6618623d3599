"""What the mock provider is asked to say, written into the prompt itself. Pure.

A gateway may drop, rename or refuse fields that it doesn't know, and it rewrites the model's
name; the text of the last message reaches the provider through all of them, in any dialect. So
the script of an answer stands at the head of that text:

    [bench tokens=100 interval_ms=20 chars=735] The upper pond feeds …

`chars` is the length of what follows the script, by which the provider sees that all of it arrived.
Each token's text is its number, by which the client sees that every token came, and in order.
"""

from typing import Annotated, Literal, get_args

import msgspec

Fault = Literal["lost", "extra", "swapped", "cut", "unfinished", "refused", "wrong"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
"""The ways in which the mock provider can be told to answer wrongly, to prove that it is seen."""

_MARK = "[bench "
_END = "] "


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer to be given.

    tokens and interval_ms matter to streams only; interval 0 is as fast as the socket takes them.
    silent_after: a stream says nothing more after that many tokens until the provider is told to
    go on (`server.GO_ON_PATH`); 0 never falls silent.
    error_percent: that share of such requests is refused with 500, evenly spread.
    chars: length of the text behind the script; 0 is not checked.
    """

    tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100
    interval_ms: Annotated[float, msgspec.Meta(ge=0, le=3_600_000)] = 0.0
    fault: Fault | None = None
    error_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    silent_after: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    chars: int = 0


class NotAScript(ValueError):
    """The prompt's script can't be read, or the prompt did not arrive whole."""


def prompt(script: Script, text: str) -> str:
    """`text` with the script before it. Faults and a silence that it doesn't have are left for the provider's options."""
    unusual = {
        "fault": script.fault,
        "error_percent": script.error_percent,
        "silent_after": script.silent_after,
    }
    said = {
        "tokens": script.tokens,
        "interval_ms": script.interval_ms,
        **{name: value for name, value in unusual.items() if value},
        "chars": len(text),
    }
    return _MARK + " ".join(f"{name}={value}" for name, value in said.items()) + _END + text


def read(text: str, otherwise: Script) -> Script:
    """The script at the head of `text`; what it doesn't say is as in `otherwise`. Raises NotAScript."""
    if not text.startswith(_MARK):
        return otherwise
    inside, end, rest = text[len(_MARK) :].partition(_END)
    if not end:
        raise NotAScript("the prompt ends in the middle of its script")
    said = dict(word.partition("=")[::2] for word in inside.split())
    try:
        script = msgspec.convert({**msgspec.structs.asdict(otherwise), **said}, Script, strict=False)
    except msgspec.ValidationError as error:
        raise NotAScript(str(error)) from error
    if script.chars and script.chars != len(rest):
        raise NotAScript(f"{len(rest)} of {script.chars} characters of the prompt arrived")
    return script


def order(tokens: int, fault: Fault | None = None) -> list[int]:
    """The numbers of the tokens in the order in which they are sent; `fault` is put in the middle."""
    numbers = list(range(tokens))
    middle = tokens // 2
    match fault:
        case "lost":
            del numbers[middle]
        case "extra":
            numbers.insert(middle, middle)
        case "swapped":
            numbers[middle - 1 : middle + 1] = numbers[middle], numbers[middle - 1]
        case "cut" | "unfinished":
            del numbers[middle:]
        case _:
            pass  # a whole answer, or none
    return numbers


def said(number: int) -> str:
    """The text of one token of a stream."""
    return f"{number:06d} "


SAID = "The sluice opens when the water stands a hand below the sill, and closes by itself. " * 4
"""The text of every whole answer; with the rest of the object about 0.7 KB."""

WHOLE_TOKENS = 84
PROMPT_TOKENS = 180
