"""`POST /admin/reload`: HTTP on one side, `ReloadService` on the other."""

from litestar import Controller, post

from service.documented import answer
from service.http.request import GatewayRequest
from service.principal import Scope
from service.reload.service import Reloaded, ReloadService

DONE = answer(Reloaded, "What changed, and what waits for the next start.")


class ReloadController(Controller):
    """Reading the configuration again."""

    path = "/admin/reload"

    @post("/", status_code=200, responses=DONE, access=Scope.ADMIN)
    async def reload(self, request: GatewayRequest) -> Reloaded:
        """Read the configuration file again, as SIGHUP does; a bad one is refused, and the old one stays."""
        service: ReloadService = request.app.state.services.reload
        return await service.reload()
