"""The reference page, written from the Structs: `python -m service.config.reference > docs/configuration.md`."""

import sys
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import inspect

from service.config.changes import AT_START
from service.config.describing import alternatives, bare, description, expected
from service.config.limits import Limits
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
        "A server on loopback is open until the first key was ever created; revoking the last one doesn't"
        " open it again. A host that others can reach needs a key, `admin_key`, `[auth.jwt]` or"
        " `--insecure-no-auth`. `/admin` always needs the admin key or a key with the scope `admin`."
    ),
    "limits": (
        "`[limits.key]`, `[limits.anonymous]` and so on hold the keys of `[limits.anonymous]` below;"
        ' `[limits.models."NAME"]` and `[limits.routes."/v1/embeddings"]` the same, by name. A key\'s own'
        " limits, given when it is made, stand before `[limits.key]`. [How limits work](limits.md)."
    ),
}

SECRETS: Final = """\
## Secrets

`api_key` and `admin_key` take `"env:NAME"` (the environment's variable), `"file:PATH"` (a file, from the
working directory; the newline at its end is dropped) or the value itself. They are resolved at start; one
that is missing is a mistake. No log, error or `repr` ever shows one.
"""


READ_AGAIN: Final = """\
## Reading it again

`SIGHUP` to the main process, or `POST /admin/reload` (scope `admin`), has every worker read file, environment and flags
again. A bad one is refused as at start, and the old one stays: the log has `config.refused` with every mistake, the
route answers 400 with the same. Else what changed holds for requests that begin from then on, and those under way,
streams too, go on as they began, though their model, provider or key may be gone. The log has `config.reloaded`.
`env:` secrets are those of the process's own environment, which nobody changes from outside; `file:` ones are read again.
Each process reads the file for itself, so replace it as a whole (write another one beside it, and rename that). One that
is gone is refused, where the server began with one.

Some keys are read at the start only. Where one of them changed, the old value stays, and the key is named in
`needs_restart`, in the log and in the route's answer: {keys}.
"""


DESCRIBED_ONCE: Final[dict[type, str]] = {TimeoutOverrides: "timeouts", Limits: "limits.anonymous"}
"""Tables that are written the same in several places, and where the page describes them."""

# A port is no quantity; four digits read well without a mark.
_GROUPED_FROM: Final = 10_000


def reference() -> str:
    """The whole page as Markdown."""
    sections = _fields(Sections)
    parts = [
        HEAD,
        _environment(),
        *(_section(field.name, field.type) for field in sections),
        SECRETS,
        _read_again(),
    ]
    return "\n".join(parts)


def _read_again() -> str:
    keys = (f"`{section}.{key}`" for section, keys in AT_START.items() for key in sorted(keys))
    return READ_AGAIN.format(keys=", ".join(keys))


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
    below = ((f"{path}.{field.name}", field) for field in struct.fields)
    inner = (_section(place, field.type) for place, field in below if _has_own(place, field))
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
    # An empty table is made by a factory, so it has no default to show.
    if value in (None, msgspec.NODEFAULT) or isinstance(value, msgspec.Struct):
        return "–"
    if isinstance(value, tuple):
        return f"`{msgspec.json.encode(value).decode()}`"
    if isinstance(value, bool | str):
        return f"`{msgspec.json.encode(value).decode()}`"
    grouped = "_" if isinstance(value, int) and value >= _GROUPED_FROM else ""
    return f"`{value:{grouped}}`" if isinstance(value, int) else f"`{value:g}`"


def _has_own(place: str, field: inspect.Field) -> bool:
    """Whether its table is described in a section of its own; one that is found in many places only in one."""
    only = alternatives(field.type)[0]
    inner = bare(only.item_type) if isinstance(only, inspect.VarTupleType) else only
    return isinstance(inner, inspect.StructType) and DESCRIBED_ONCE.get(inner.cls, place) == place


def _fields(kind: type[msgspec.Struct]) -> Iterator[inspect.Field]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    yield from described.fields


if __name__ == "__main__":
    sys.stdout.write(reference())
