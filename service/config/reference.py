"""The reference page, written from the Structs: `python -m service.config.reference > docs/configuration.md`."""

import sys
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import inspect

from service.config.describing import alternatives, bare, description, expected
from service.config.load import PROVIDER_VARIABLES, VARIABLES
from service.config.settings import Sections, TimeoutOverrides, Timeouts

HEAD: Final = """\
# Configuration

Written from the code by `just docs`: change the descriptions there, not here.

Penstock reads, later ones winning: defaults, the file, the environment, the flags of `penstock serve`.
The file is `--config FILE`, else the one that `PENSTOCK_CONFIG` names, else `penstock.toml` in the working
directory if it is there. `penstock check` tells every mistake at once, with its place and what to write.
An unknown key is a mistake, and so is a section of a later version: a limit that is silently not enforced
is worse than none.
"""

NOTES: Final = {
    "providers": (
        "Beside these, `OPENAI_API_KEY` and `ANTHROPIC_API_KEY` bring the providers `openai` and `anthropic`"
        " (at `OPENAI_BASE_URL`, `ANTHROPIC_BASE_URL` where set), unless the file names one so. Without a file"
        " there is the simulated provider `sim` too."
    ),
    "timeouts": (
        "Each clock is looked for in the model's `timeouts`, then in the provider's, then here; then the"
        " default holds. An answer that is not streamed has its first byte only when the model has finished,"
        " so its wait has a clock of its own, `answer_seconds`: written nowhere, it is `first_token_seconds`"
        " where that is written, else `total_seconds`; a `first_token_seconds` nearer to the model than the"
        " `answer_seconds` counts for both."
    ),
    "auth": (
        "Keys come in a later version. Until then a host that others can reach needs `--insecure-no-auth`."
    ),
}

SECRETS: Final = """\
## Secrets

`api_key` and `admin_key` take `"env:NAME"` (the environment's variable), `"file:PATH"` (a file, from the
working directory; the newline at its end is dropped) or the value itself. They are resolved at start; one
that is missing is a mistake. No log, error or `repr` ever shows one.
"""


# A port is no quantity; four digits read well without a mark.
_GROUPED_FROM: Final = 10_000


def reference() -> str:
    """The whole page as Markdown."""
    sections = _fields(Sections)
    parts = [HEAD, _environment(), *(_section(field.name, field.type) for field in sections), SECRETS]
    return "\n".join(parts)


def _environment() -> str:
    rows = [f"| `{name}` | `{path}` |" for name, path in VARIABLES.items()]
    rows += [f"| `{key}`, `{url}` | a provider `{name}` |" for name, (key, url) in PROVIDER_VARIABLES.items()]
    head = [
        "## Environment",
        "",
        "| variable | sets |",
        "|---|---|",
        "| `PENSTOCK_CONFIG` | the file to read |",
    ]
    return "\n".join([*head, *rows, "", "An empty variable counts as not set.", ""])


def _section(path: str, kind: inspect.Type) -> str:
    """One section, and the tables inside it after it. `path` is how TOML names it."""
    only = alternatives(kind)[0]
    repeated = isinstance(only, inspect.VarTupleType)
    struct = bare(only.item_type) if isinstance(only, inspect.VarTupleType) else only
    assert isinstance(struct, inspect.StructType)
    head = f"[[{path}]]" if repeated else f"[{path}]"
    lines = [f"## `{head}`", "", (struct.cls.__doc__ or "").strip(), ""]
    lines += [NOTES[path], ""] if path in NOTES else []
    lines += ["| key | value | default | what for |", "|---|---|---|---|"]
    lines += [_row(struct.cls, field) for field in struct.fields]
    inner = (_section(f"{path}.{field.name}", field.type) for field in struct.fields if _has_own(field))
    return "\n".join([*lines, "", *inner])


def _row(owner: type[msgspec.Struct], field: inspect.Field) -> str:
    value = expected(field.type).replace("|", "\\|")
    return f"| `{field.name}` | {value} | {_default(owner, field)} | {description(field.type)} |"


def _default(owner: type[msgspec.Struct], field: inspect.Field) -> str:
    if field.required:
        return "**required**"
    if owner is TimeoutOverrides and field.name != "answer_seconds":
        return _toml(getattr(Timeouts(), field.name))
    return _toml(field.default)


def _toml(value: object) -> str:
    if value is None or isinstance(value, msgspec.Struct):
        return "–"
    if value == ():
        return "`[]`"
    if isinstance(value, bool | str):
        return f"`{msgspec.json.encode(value).decode()}`"
    grouped = "_" if isinstance(value, int) and value >= _GROUPED_FROM else ""
    return f"`{value:{grouped}}`" if isinstance(value, int) else f"`{value:g}`"


def _has_own(field: inspect.Field) -> bool:
    """Whether its table is described in a section of its own; timeouts are described once, globally."""
    only = alternatives(field.type)[0]
    inner = bare(only.item_type) if isinstance(only, inspect.VarTupleType) else only
    return isinstance(inner, inspect.StructType) and inner.cls is not TimeoutOverrides


def _fields(kind: type[msgspec.Struct]) -> Iterator[inspect.Field]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    yield from described.fields


if __name__ == "__main__":
    sys.stdout.write(reference())
