"""What is wrong with a configuration, in words for the operator. Never holds a secret's value."""

from typing import Final

from msgspec import Struct

from service.config.urls import without_password

_SHOWN_CHARACTERS: Final = 80


class Mistake(Struct, frozen=True):
    """One thing to correct.

    place: the file and key, the variable or the flag (`penstock.toml: server.port`).
    found: what stands there. expected: what should, or what to do.
    """

    place: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.place}: found {self.found}; expected {self.expected}"


class ConfigInvalid(Exception):
    """The configuration can't be used; `mistakes` is all that is wrong with it, in the file's order."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


def shown(value: object) -> str:
    """A value as a message may quote it: short, printable, addresses without their credentials."""
    if isinstance(value, str):
        text = without_password(value)
        return f'"{text}"' if len(text) <= _SHOWN_CHARACTERS else f'"{text[:_SHOWN_CHARACTERS]}…"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(value)
    if isinstance(value, int):
        # Python refuses to print integers of more than 4,300 digits.
        return str(value) if abs(value) < 10**_SHOWN_CHARACTERS else "a number with very many digits"
    return kind_of(value)


def kind_of(value: object) -> str:
    """What sort of thing a TOML value is, without the value: for places that hold secrets."""
    for kind, words in _KINDS:
        if isinstance(value, kind):
            return words
    return "a date or time"


# bool before int: Python's True is an int.
_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (str, "text"),
    (list, "a list"),
    (dict, "a table"),
)
