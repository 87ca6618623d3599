"""Who may call a route, as the document says it: the ways to show a key, and what follows without one. Pure.

Source: OpenAPI 3.1.0, 4.8.27 and 4.8.30: a list of alternatives, `{}` for none, and in each the
roles that are needed; ours are scopes.
"""

from collections.abc import Mapping

from service import errors
from service.docs.schemas import Json
from service.errors import GatewayError
from service.principal import Scope

Scopes = Mapping[tuple[str, str], Scope | None]
"""By method and path, what a route asks of its caller; None: only to be known. Others are open to everybody."""

_KEYS: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key (`psk_…`), the configured admin key, or, where the operator allows them, a token of an"
        " identity provider. An open server asks nobody for a key, except for `/admin`.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same for Anthropic's clients. Where both are sent, `Authorization` counts.",
    },
}

SCHEMES: Json = _KEYS | {
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "For one stream, from `POST /v1/streams`, in the `url` of its answer: a browser's `EventSource`"
        " sends no headers. It must first be used within 60 s, then serves until the stream is no longer kept.",
    }
}
"""For `components.securitySchemes`."""

OPERATORS: list[Json] = [{name: [Scope.ADMIN.value]} for name in _KEYS] + [{}]
"""For routes that show more to operators, or that are theirs where a key is required."""

TICKET_HOLDERS: list[Json] = [{name: []} for name in SCHEMES] + [{}]
"""For a route that takes a ticket instead of a key."""

WITHOUT_KEY: tuple[type[GatewayError], ...] = (errors.InvalidApiKey, errors.StoreUnavailable)
"""What a route adds that looks who is asking."""


def requirement(key: tuple[str, str], scopes: Scopes) -> list[Json]:
    """The alternatives of one route. key: its method and path."""
    if key not in scopes:
        return []
    scope = scopes[key]
    shown = [{name: [] if scope is None else [scope.value]} for name in _KEYS]
    # Nobody administers without a key, not even an open server.
    return shown if scope is Scope.ADMIN else [*shown, {}]
