"""What a running server takes over of a configuration that was read again. Pure.

Where it listens, where it keeps its state, who issues tokens, and what sizes its memory is decided at
its start. All else holds from the next request on.
"""

from typing import Any, Final

import msgspec

from service.config.settings import Sections, Settings

AT_START: Final[dict[str, frozenset[str]]] = {
    "server": frozenset(
        ("host", "port", "workers", "drain_seconds", "drain_delay_seconds", "trusted_proxies", "root_path")
    ),
    "store": frozenset(("database", "redis", "journal", "journal_max_bytes")),
    "auth": frozenset(("jwt",)),
    "streams": frozenset(("heartbeat_seconds", "keep_seconds", "max_bytes_per_stream", "max_bytes_total")),
    "limits": frozenset(("rates_without_redis", "budgets_without_redis")),
}
"""By section, the keys that are read at the start only."""


class Changes(msgspec.Struct, frozen=True):
    """settings: those that hold from now on. taken: the keys that changed in them.

    waiting: the keys that changed in the file, and change nothing before the next start.
    """

    settings: Settings
    taken: tuple[str, ...]
    waiting: tuple[str, ...]


def changes(running: Settings, read: Settings) -> Changes:
    """What becomes of `running` when `read` is what its file says now."""
    taken: list[str] = []
    waiting: list[str] = []
    sections: dict[str, Any] = {}
    for name in Sections.__struct_fields__:
        before, after = getattr(running, name), getattr(read, name)
        if not isinstance(before, msgspec.Struct):
            taken += [name] if before != after else []
            sections[name] = after
            continue
        kept = AT_START.get(name, frozenset())
        differing = [key for key in before.__struct_fields__ if getattr(before, key) != getattr(after, key)]
        taken += [f"{name}.{key}" for key in differing if key not in kept]
        waiting += [f"{name}.{key}" for key in differing if key in kept]
        sections[name] = msgspec.structs.replace(after, **{key: getattr(before, key) for key in kept})
    return Changes(msgspec.structs.replace(running, **sections), tuple(taken), tuple(waiting))
