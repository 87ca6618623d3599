"""What a request's raw bytes must be, beyond what a typed decode looks at.

msgspec keeps the last of two equal keys, and passes invalid UTF-8 and numbers such as 1e999 in
fields that it skips. A provider may read the other key, or choke, so such bodies stop here.
Every check has a fast answer for ordinary bodies and an exact one for the rest.
"""

import re
from collections.abc import Iterable
from itertools import accumulate
from math import isinf

import msgspec

from service.errors import InvalidRequest

MAX_DEPTH = 200
"""Levels of nesting. Real requests (tool schemas) need about 20; parsers fail from 1,000 on."""

MAX_MEMBERS = 1000
"""Top-level names. The largest API knows some 40; each costs a look, which a hostile body could multiply."""

Members = dict[str, msgspec.Raw]
"""The top-level members of a JSON object: name to the value's own bytes."""

USUAL_NAMES = frozenset(
    (
        "model",
        "messages",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "tools",
        "tool_choice",
        "stop",
        "user",
        "system",
        "input",
        "response_format",
        "seed",
        "n",
    )
)
"""None of these is another one in capitals, so a body with no other names needs no such look."""

_MEMBERS = msgspec.json.Decoder(Members)
# Possessive quantifiers: an image as base64 is one string of megabytes, and a step to go back to for
# each of its characters would cost a hundred times its size in memory.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NAME = re.compile(rb'[\s,{]*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*+:\s*+', re.DOTALL)
_LARGE_NUMBER = re.compile(rb"(?<![0-9.])-?(?:[0-9]++(?:\.[0-9]++)?+[eE][+-]?[0-9]++|[0-9]{309,}+)")
_SHAPES = bytes.maketrans(b"123456789E", b"000000000e")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def members(body: bytes) -> Members:
    """Split a JSON object into its top-level members, having checked the whole of it.

    Raises InvalidRequest for anything that is not one UTF-8 JSON object of finite numbers, at
    most MAX_DEPTH levels deep, with no top-level name given twice (compared without case).
    """
    _check_utf8(body)
    try:
        found = _MEMBERS.decode(body)
    except msgspec.ValidationError:
        raise InvalidRequest("The body must be a JSON object.") from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise _too_deep() from None
    if len(found) > MAX_MEMBERS:
        raise InvalidRequest(
            f"The body has more than {MAX_MEMBERS} fields; send only those that the route knows."
        )
    _check_depth(body)
    _check_numbers(body)
    _check_names(body, found)
    return found


def _check_utf8(body: bytes) -> None:
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8: byte {error.start} is invalid.") from None


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"The body is nested too deeply; at most {MAX_DEPTH} levels are accepted.")


def _check_depth(body: bytes) -> None:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", body).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise _too_deep()


def _check_numbers(body: bytes) -> None:
    shapes = body.translate(_SHAPES)
    if b"0e" not in shapes and b"0" * 309 not in shapes:
        return
    for number in _LARGE_NUMBER.findall(_STRING.sub(b"", body)):
        if isinf(float(number)):
            raise InvalidRequest(f"The number {number[:40].decode()} is out of range; send a finite one.")


def _check_names(body: bytes, found: Members) -> None:
    if not found.keys() <= USUAL_NAMES:
        _check_case(found)
    # Compact JSON, as the SDKs send it: if the members alone fill the body, none was lost.
    if len(body) == sum(map(len, found)) + sum(map(len, found.values())) + 4 * len(found) + 1:
        return
    _walk_names(body, found)


def _check_case(names: Iterable[str]) -> None:
    seen = set[str]()
    for name in names:
        folded = name.casefold()
        if folded in seen:
            raise _twice(name)
        seen.add(folded)


def _walk_names(body: bytes, found: Members) -> None:
    """Step from member to member; where one is not what the decoder kept, it stood twice."""
    position, seen = 0, set[str]()
    while match := _NAME.match(body, position):
        name = msgspec.json.decode(b'"' + match[1] + b'"', type=str)
        value = bytes(found[name])
        if name in seen or not body.startswith(value, match.end()):
            raise _twice(name)
        seen.add(name)
        position = match.end() + len(value)
    if len(seen) < len(found) or b"".join(body[position:].split()) not in (b"}", b"{}"):
        raise InvalidRequest("A field of the body is given twice; send each once.")


def _twice(name: str) -> InvalidRequest:
    return InvalidRequest(f"The field {name!r} is given twice; send it once.", param=name)
