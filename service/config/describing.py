"""A setting's type in words, from the Structs' own annotations: for mistakes and for the reference page."""

from collections.abc import Iterable

from msgspec import inspect


def bare(kind: inspect.Type) -> inspect.Type:
    """`kind` without the description that was put beside it."""
    return bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def alternatives(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    """The members of a union but None; `kind` itself where it is none."""
    kind = bare(kind)
    members = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return tuple(bare(member) for member in members if not isinstance(bare(member), inspect.NoneType))


def expected(kind: inspect.Type) -> str:
    """What a value of `kind` looks like: `a whole number from 0 to 65535`."""
    noted = _noted(kind)
    return noted or _listed((_plain(member) for member in alternatives(kind)), "or")


def description(kind: inspect.Type) -> str:
    """What the annotation says that the setting is for; empty where it says nothing."""
    if isinstance(kind, inspect.UnionType):
        return next(filter(None, map(description, kind.types)), "")
    if not isinstance(kind, inspect.Metadata):
        return ""
    own = (kind.extra_json_schema or {}).get("description")
    return str(own) if own else description(kind.type)


def _noted(kind: inspect.Type) -> str | None:
    """Words that stand beside a type because its pattern would say nothing to a reader."""
    members = kind.types if isinstance(kind, inspect.UnionType) else ()
    if isinstance(kind, inspect.Metadata):
        note = (kind.extra or {}).get("expected")
        return str(note) if note else _noted(kind.type)
    return next((note for member in members if (note := _noted(member))), None)


def _plain(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _range(kind)
        case inspect.FloatType():
            return "a number" + _range(kind)
        case inspect.LiteralType():
            return _listed((f'"{value}"' for value in kind.values), "or")
        case inspect.VarTupleType():
            return (
                "a list of tables"
                if isinstance(bare(kind.item_type), inspect.StructType)
                else "a list of texts"
            )
        case inspect.StructType():
            return "a table"
        case inspect.DictType():
            return "a table of tables, by name"
        case inspect.CustomType():
            return '"env:NAME", "file:PATH" or the secret itself'
        case _:
            return "text"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low = (
        f" above {kind.gt:g}" if kind.gt is not None else f" from {kind.ge:g}" if kind.ge is not None else ""
    )
    return f"{low} to {kind.le:.15g}" if kind.le is not None else low


def _listed(words: Iterable[str], last: str) -> str:
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else end
