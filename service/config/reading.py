"""Tables into Structs, key by key: msgspec stops at the first mistake, an operator wants them all.

Knows the Structs' annotations and nothing of any one setting. A key that is wrong leaves its default
behind, so that the rest can be checked too; whoever gets a mistake must not use the result.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeVar, get_type_hints

import msgspec
from msgspec import inspect

from service.config.describing import alternatives, bare, expected
from service.config.mistakes import Mistake, kind_of, shown
from service.config.secret import Secret, SecretMissing

S = TypeVar("S", bound=msgspec.Struct)
_MISSING: Final = object()
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")

# What the whole product has and this version lacks. Refused by name: a limit that is silently not
# enforced is worse than none.
LATER: Final = frozenset(
    {
        "ask",
        "batches",
        "cache",
        "jobs",
        "telemetry",
        "webhooks",
    }
)


class Reader:
    """Reads tables and collects what is wrong with them in `mistakes`.

    source: what to call the file in a mistake. origins: for keys that did not come from the file,
    the variable or flag they came from; their values may be text, so they are read leniently.
    secret: resolves what is written for a secret, raising SecretMissing.
    """

    def __init__(self, source: str, origins: Mapping[str, str], secret: Callable[[str], Secret]) -> None:
        self.mistakes: list[Mistake] = []
        self._source = source
        self._origins = origins
        self._secret = secret

    def mistake(self, path: str, found: str, wanted: str) -> None:
        """Note that `path` (`server.port`) is wrong."""
        place = self._origins.get(path) or f"{self._source}: {path}"
        self.mistakes.append(Mistake(place, found, wanted))

    def table(self, kind: type[S], value: object, path: str) -> S | None:
        """The Struct; None where `value` isn't a table, or a key without a default is missing or wrong."""
        if not isinstance(value, dict):
            self.mistake(path, kind_of(value), "a table")
            return None
        fields = _fields(kind)
        self.refuse_unknown(value, tuple(fields), path)
        read = {name: self._field(kind, field, value, join(path, name)) for name, field in fields.items()}
        values = {name: made for name, made in read.items() if made is not _MISSING}
        if any(field.required and name not in values for name, field in fields.items()):
            return None
        return kind(**values)

    def tables(self, kind: type[S], value: object, path: str) -> dict[str, S]:
        """A list of tables as Structs by their paths (`providers[0]`), without those that can't be made."""
        if not isinstance(value, list):
            wanted = "a list of tables" if "." in path else f"a list of tables: [[{path}]], not [{path}]"
            self.mistake(path, kind_of(value), wanted)
            return {}
        made = {f"{path}[{i}]": self.table(kind, each, f"{path}[{i}]") for i, each in enumerate(value)}
        return {place: each for place, each in made.items() if each is not None}

    def refuse_unknown(self, table: Mapping[str, object], known: tuple[str, ...], path: str) -> None:
        """Note each key of `table` that is not `known`, with the nearest that is."""
        for key in table:
            place = join(path, key)
            if place in LATER:
                wanted = "that it is left out: this version would not enforce it"
                self.mistake(place, "a setting of a later version", wanted)
            elif key not in known:
                near = difflib.get_close_matches(key.lower(), known, n=1)
                self.mistake(
                    place, "an unknown key", f'"{near[0]}"' if near else f"one of {', '.join(known)}"
                )

    def _field(
        self, owner: type[msgspec.Struct], field: inspect.Field, table: Mapping[str, object], path: str
    ) -> object:
        if field.name not in table:
            if field.required:
                self.mistake(path, "nothing", expected(field.type))
            return _MISSING
        value = table[field.name]
        kind = alternatives(field.type)[0]
        if isinstance(kind, inspect.StructType):
            made = self.table(kind.cls, value, path)
            return _MISSING if made is None else made
        if isinstance(kind, inspect.VarTupleType) and isinstance(
            item := bare(kind.item_type), inspect.StructType
        ):
            return self._some_tables(item.cls, value, path)
        if isinstance(kind, inspect.DictType) and isinstance(
            item := bare(kind.value_type), inspect.StructType
        ):
            return self._named_tables(item.cls, value, path)
        if isinstance(kind, inspect.CustomType):
            return self._secret_value(value, path, expected(field.type))
        return self._value(_types(owner)[field.name], value, path, expected(field.type))

    def _some_tables(self, kind: type[msgspec.Struct], value: object, path: str) -> object:
        if value == []:
            self.mistake(path, "an empty list", "at least one table")
        return tuple(self.tables(kind, value, path).values()) or _MISSING

    def _named_tables(self, kind: type[msgspec.Struct], value: object, path: str) -> object:
        if not isinstance(value, dict):
            self.mistake(path, kind_of(value), "a table of tables")
            return _MISSING
        made = {name: self.table(kind, each, join(path, name)) for name, each in value.items()}
        return {name: each for name, each in made.items() if each is not None}

    def _secret_value(self, value: object, path: str, wanted: str) -> object:
        if not isinstance(value, str):
            self.mistake(path, kind_of(value), wanted)
            return _MISSING
        try:
            return self._secret(value)
        except SecretMissing as missing:
            self.mistake(path, missing.found, missing.expected)
            return _MISSING

    def _value(self, kind: object, value: object, path: str, wanted: str) -> object:
        try:
            made: object = msgspec.convert(value, kind, strict=path not in self._origins)
        # A TOML integer may be larger than any float.
        except (msgspec.ValidationError, OverflowError):
            made = _MISSING
        # TOML has `nan` and `inf`; no setting means anything with them.
        if made is _MISSING or (isinstance(made, float) and not math.isfinite(made)):
            self.mistake(path, shown(value), wanted)
            return _MISSING
        return made


def join(path: str, key: str) -> str:
    """`key` below `path` as TOML writes it; odd keys are quoted and cut short."""
    shown_key = key if _BARE_KEY.fullmatch(key) else repr(key[:60])
    return f"{path}.{shown_key}" if path else shown_key


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, inspect.Field]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    return {field.name: field for field in described.fields}


@cache
def _types(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)
