"""Values that must never show: not in a log, not in a traceback, not in a mistake."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, final

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

MAX_SECRET_BYTES: Final = 65_536
"""Far beyond any key; keeps a wrong path (a device, a log) from being read whole."""


@final
class Secret:
    """Text that only `reveal` gives out; `repr`, `str` and formatting show `***`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself: for the one place that sends it, never for a message."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class SecretMissing(Exception):
    """A secret could not be had. found, expected: words for a mistake, free of the value."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected


def resolve(written: str, environment: Mapping[str, str], working_directory: Path) -> Secret:
    """The secret that `env:NAME`, `file:PATH` (from `working_directory`) or a literal stands for.

    A file's trailing newline is dropped. Raises SecretMissing: no such variable, no such file, empty,
    or with characters that no header can carry.
    """
    if written.startswith("env:"):
        return _checked(_from_variable(written.removeprefix("env:"), environment), written)
    if written.startswith("file:"):
        return _checked(_from_file(working_directory / written.removeprefix("file:")), written)
    return _checked(written, "a literal secret")


def _from_variable(name: str, environment: Mapping[str, str]) -> str:
    # What is no name may be the secret itself, put behind `env:` by mistake.
    if not _VARIABLE.fullmatch(name):
        raise SecretMissing('"env:" and no name of a variable', '"env:NAME" with letters, digits and "_"')
    value = environment.get(name)
    if value is None:
        raise SecretMissing(
            f"env:{name}, but the environment variable {name} is not set",
            f"that {name} is set, or another place",
        )
    return value


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "not a path"
        raise SecretMissing(f"file:{path}, which can't be read ({reason})", "a readable file") from None
    if len(content) > MAX_SECRET_BYTES:
        raise SecretMissing(f"file:{path}, which is too large", f"at most {MAX_SECRET_BYTES} bytes")
    return content.decode(errors="replace").rstrip("\r\n")


def _checked(value: str, origin: str) -> Secret:
    if not value:
        raise SecretMissing(f"{origin}, which is empty", "a value that is not empty, or leave the key out")
    if not all(" " <= char <= "~" for char in value):
        raise SecretMissing(f"{origin}, with characters that no header can carry", "printable ASCII")
    return Secret(value)
