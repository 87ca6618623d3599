"""Who may come in, decided after the route is known and before the body is read.

A handler says what it asks of its caller: `access="open"` for everybody, `access=` a scope, or
nothing at all, which means any caller that is known. What a scope of inference allows is decided when
body and model are known (`service.chat.accounts`); administration is refused before anything is read. So a new route is closed until it says otherwise.
"""

from typing import Any, Protocol, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from service.errors import InvalidApiKey, PermissionDenied, StoreUnavailable
from service.http.context import RequestContext, Scope, context_of
from service.principal import Principal
from service.principal import Scope as Permission

OPEN = "open"
ACCESS = "access"


class Gatekeeper(Protocol):
    """Knows callers by their credentials (`service.keys.authenticator`)."""

    @property
    def required(self) -> bool:
        """Whether callers without a key are turned away."""

    def recognise(self, credential: bytes | None, address: str) -> Principal | None:
        """The caller, without waiting; None where it must be looked up. Raises InvalidApiKey."""

    async def authenticate(self, credential: bytes | None, address: str) -> Principal:
        """The caller. Raises InvalidApiKey, StoreUnavailable."""


async def identify(gatekeeper: Gatekeeper, context: RequestContext) -> Principal:
    """Find out who calls, and note it in the context. Raises InvalidApiKey, StoreUnavailable."""
    found = gatekeeper.recognise(context.credential, context.address)
    if found is None:
        found = await gatekeeper.authenticate(context.credential, context.address)
    context.principal = found
    context.facts.key_id = found.key_id
    return found


def owner_of(gatekeeper: Gatekeeper, principal: Principal) -> str:
    """Whose the caller's streams and answers are: its key's, or everybody's where no key is needed."""
    return principal.key_id if gatekeeper.required else ""


def permit(principal: Principal, access: object) -> None:
    """Let the caller pass, or raise PermissionDenied. access: what its handler asks."""
    if access is not None and access not in principal.scopes:
        wanted = cast(Permission, access).value
        who = (
            "the key that was sent does not have" if principal.key_id else "callers without a key don't have"
        )
        raise PermissionDenied(f"This needs the scope {wanted!r}, which {who}.")


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The application's guard, for all routes that Litestar itself dispatches."""
    access = handler.opt.get(ACCESS)
    scope = cast(Scope, connection.scope)
    if access == OPEN or scope["method"] == "OPTIONS":
        return
    principal = await identify(connection.app.state.services.gatekeeper, context_of(scope))
    if access is Permission.ADMIN:
        permit(principal, access)


async def require_operator(gatekeeper: Gatekeeper, context: RequestContext, *, metrics_open: bool) -> None:
    """Let through who may see what operators see: the scope `admin`, or anybody at an open server.

    metrics_open: nobody is asked. Raises InvalidApiKey, PermissionDenied, StoreUnavailable.
    """
    if metrics_open:
        return
    principal = await identify(gatekeeper, context)
    if gatekeeper.required:
        permit(principal, Permission.ADMIN)


async def sees_operations(gatekeeper: Gatekeeper, context: RequestContext, *, metrics_open: bool) -> bool:
    """The same as a question, for a route that has something for everybody."""
    try:
        await require_operator(gatekeeper, context, metrics_open=metrics_open)
    except (InvalidApiKey, PermissionDenied, StoreUnavailable):
        return False
    return True
