"""`/admin/limits`: HTTP on one side, `Standing` on the other."""

from typing import Annotated

from litestar import Controller, get

from service.documented import answer, parameter
from service.errors import InvalidRequest
from service.http.address import client_address
from service.http.request import GatewayRequest
from service.limits.standing import SUBJECTS, MeterList, Standing
from service.principal import Scope

Key = Annotated[str | None, parameter("key", "The key with this id.")]
Tenant = Annotated[str | None, parameter("tenant", "The tenant of this name; beside `user`, the user's.")]
User = Annotated[str | None, parameter("user", "The user of this name.")]
ModelName = Annotated[str | None, parameter("model", "The model that clients ask for by this name.")]
Route = Annotated[str | None, parameter("route", "The route of this path.")]
Address = Annotated[str | None, parameter("address", "Anonymous callers from here; of IPv6 the whole /64.")]

METERS = answer(MeterList, "All limits of the subject, and what is left of each.")


class LimitsController(Controller):
    """Where limits stand."""

    path = "/admin/limits"

    @get("/", responses=METERS, access=Scope.ADMIN)
    async def get_limits(
        self,
        request: GatewayRequest,
        key: Key = None,
        tenant: Tenant = None,
        user: User = None,
        model: ModelName = None,
        route: Route = None,
        address: Address = None,
    ) -> MeterList:
        """Show what is left of the limits of one key, tenant, user, model, route or address."""
        given = dict(zip(SUBJECTS, (key, user, tenant, model, route, address), strict=True))
        if address is not None:
            given["address"] = _address(address)
        asked = {name: value for name, value in given.items() if value is not None}
        standing: Standing = request.app.state.services.standing
        return await standing.of(asked)


def _address(text: str) -> str:
    """As limits tell callers apart."""
    # A /64 as answers show it is its own first address.
    found = client_address(text.partition("/")[0], "", ())
    if not found:
        raise InvalidRequest("address: an IPv4 or IPv6 address.", param="address")
    return found
