"""What a translation comes to: a body with the hints that were left out, or a fact that it can't be said."""

import re
from itertools import islice

import msgspec


class Untranslatable(Exception):
    """The other dialect can't say this, and leaving it out would change the answer.

    param: the request's field, as a path like `tools[0].type`. detail: for the client, with the remedy.
    """

    def __init__(self, param: str, detail: str) -> None:
        super().__init__(detail)
        self.param = param
        self.detail = detail


class Translated(msgspec.Struct, frozen=True, gc=False):
    """A request's `body` in the other dialect. dropped: the hints that it can't say, each once."""

    body: bytes
    dropped: tuple[str, ...]


MAX_UNKNOWN = 16

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")

Members = dict[str, msgspec.Raw]
"""A request's top-level members as the bytes that they were."""


def is_null(value: msgspec.Raw) -> bool:
    """Whether a member says nothing."""
    return bytes(value) == b"null"


def unknown_members(raw: Members, known: frozenset[str]) -> list[str]:
    """The names of the members that are none of `known` and not null, as the caller ordered them.

    They end up in a header: a name that is no plain word is told as `unknown`, and of very many
    only the first MAX_UNKNOWN are told.
    """
    names = (name for name, value in raw.items() if name not in known and not is_null(value))
    return [name if _WORD.fullmatch(name) else "unknown" for name in islice(names, MAX_UNKNOWN)]


def once(names: list[str]) -> tuple[str, ...]:
    """`names` without repetitions, in order."""
    return tuple(dict.fromkeys(names))


def quoted(word: str) -> str:
    """The caller's own word in a message for it, cut to what a message can hold."""
    return repr(word if len(word) <= 64 else word[:64] + "…")
