"""`/admin/tenants` and `/admin/users`: HTTP on one side, `LimitAdmin` on the other.

Names of tenants and users hold any text, so they are read from the path as it was sent: the
framework's own reading of it has lost what was percent-encoded, and slashes that stand side by side.
"""

from typing import Annotated, Any, Final, cast
from urllib.parse import unquote_to_bytes

from litestar import Controller, delete, get, put
from litestar.params import FromPath, JSONBody

from service.documented import After, Limit, answer, parameter
from service.errors import InvalidRequest
from service.http.request import GatewayRequest
from service.limits.admin import LimitAdmin, PutLimits, SubjectPage, SubjectView
from service.limits.base import Subject
from service.limits.names import tenant_place, user_place
from service.paging import page_size
from service.principal import Scope

TENANTS: Final = "/admin/tenants"
USERS: Final = "/admin/users"

TenantOfUser = Annotated[
    str | None, parameter("tenant", "The user's tenant; two may have users of one name.")
]

SHOWN = answer(SubjectView, "Its own limits. What they leave out, the configuration's defaults say.")
PAGE = answer(SubjectPage, "Those that have limits of their own, by name.")


class TenantsController(Controller):
    """Limits of single tenants."""

    path = TENANTS

    @get("/", responses=PAGE, access=Scope.ADMIN)
    async def list_tenants(
        self, request: GatewayRequest, limit: Limit = None, after: After = None
    ) -> SubjectPage:
        """List the tenants that have limits of their own."""
        return await _admin(request).list(Subject.TENANT, after=after, limit=page_size(limit))

    @get("/{tenant_id:path}", responses=SHOWN, access=Scope.ADMIN)
    async def get_tenant(self, request: GatewayRequest, tenant_id: FromPath[str]) -> SubjectView:
        """Show a tenant's own limits."""
        return await _admin(request).get(tenant_place(_name(request, TENANTS, tenant_id)))

    @put("/{tenant_id:path}", responses=SHOWN, access=Scope.ADMIN)
    async def put_tenant(
        self, request: GatewayRequest, tenant_id: FromPath[str], data: JSONBody[PutLimits]
    ) -> SubjectView:
        """Set a tenant's limits in place of those before; they hold for all its keys together."""
        return await _admin(request).put(tenant_place(_name(request, TENANTS, tenant_id)), data)

    @delete("/{tenant_id:path}", access=Scope.ADMIN)
    async def delete_tenant(self, request: GatewayRequest, tenant_id: FromPath[str]) -> None:
        """Take a tenant's own limits away; the configuration's defaults hold."""
        await _admin(request).delete(tenant_place(_name(request, TENANTS, tenant_id)))


class UsersController(Controller):
    """Limits of single users."""

    path = USERS

    @get("/", responses=PAGE, access=Scope.ADMIN)
    async def list_users(
        self, request: GatewayRequest, limit: Limit = None, after: After = None
    ) -> SubjectPage:
        """List the users that have limits of their own, by tenant."""
        return await _admin(request).list(Subject.USER, after=after, limit=page_size(limit))

    @get("/{user_id:path}", responses=SHOWN, access=Scope.ADMIN)
    async def get_user(
        self, request: GatewayRequest, user_id: FromPath[str], tenant: TenantOfUser = None
    ) -> SubjectView:
        """Show a user's own limits."""
        return await _admin(request).get(user_place(_name(request, USERS, user_id), tenant))

    @put("/{user_id:path}", responses=SHOWN, access=Scope.ADMIN)
    async def put_user(
        self,
        request: GatewayRequest,
        user_id: FromPath[str],
        data: JSONBody[PutLimits],
        tenant: TenantOfUser = None,
    ) -> SubjectView:
        """Set a user's limits in place of those before; they hold for all its keys together."""
        return await _admin(request).put(user_place(_name(request, USERS, user_id), tenant), data)

    @delete("/{user_id:path}", access=Scope.ADMIN)
    async def delete_user(
        self, request: GatewayRequest, user_id: FromPath[str], tenant: TenantOfUser = None
    ) -> None:
        """Take a user's own limits away; the configuration's defaults hold."""
        await _admin(request).delete(user_place(_name(request, USERS, user_id), tenant))


def _admin(request: GatewayRequest) -> LimitAdmin:
    """The use case, as `lifespan` opened it."""
    admin: LimitAdmin = request.app.state.services.subjects
    return admin


def _name(request: GatewayRequest, below: str, parsed: str) -> str:
    """What stands behind `below` in the path as it was sent; `parsed` where that can't be told.

    Raises InvalidRequest for what is no UTF-8.
    """
    sent = cast(dict[str, Any], request.scope).get("raw_path") or b""
    _, found, rest = sent.partition(below.encode() + b"/")
    if not found:
        return parsed.removeprefix("/")
    try:
        return unquote_to_bytes(rest).decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The name in the path is no UTF-8, percent-encoded.") from None
