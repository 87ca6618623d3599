"""Who is asking, and what they may do. Free of HTTP and of where that is stored."""

from enum import StrEnum

import msgspec

from service.config.limits import UNLIMITED, Limits


class Scope(StrEnum):
    """What a caller may use."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    ASK = "ask"
    BATCH = "batch"
    ADMIN = "admin"

    # The enumeration's own is written in Python, and every request asks for it.
    __hash__ = str.__hash__


USER_SCOPES = frozenset(Scope) - {Scope.ADMIN}
"""What a key may do that names no scopes: everything but administer."""

ADMIN_KEY_ID = "admin"
"""The `key_id` of the configured admin key."""


class Principal(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One caller.

    key_id: the key's public id, `jwt:` and the subject, ADMIN_KEY_ID, or "" for anonymous callers.
    models: the names that it may ask for; empty: all. limits: its own ones (with its budgets),
    already merged with the defaults for keys. address: for anonymous callers what they are told
    apart by (an IPv4 address or an IPv6 /64), else "".
    """

    key_id: str = ""
    tenant: str = ""
    user: str = ""
    scopes: frozenset[Scope] = frozenset()
    models: frozenset[str] = frozenset()
    limits: Limits = UNLIMITED
    address: str = ""

    def may_use_model(self, name: str) -> bool:
        """Whether it may ask for the model `name`, by the name that clients write."""
        return not self.models or name in self.models
