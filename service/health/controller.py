"""Routes for whoever operates the server: liveness, readiness, health and metrics."""

from litestar import Controller, Response, get

from service.errors import ServerDraining
from service.health.service import Health, HealthService
from service.http.request import GatewayRequest

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthController(Controller):
    """No route here asks a provider anything."""

    path = "/"

    @get("/livez")
    async def livez(self) -> dict[str, str]:
        """Whether the process serves at all. Does no I/O."""
        return {"status": "ok"}

    @get("/healthz")
    async def healthz(self) -> dict[str, str]:
        """The same as `/livez`."""
        return {"status": "ok"}

    @get("/readyz")
    async def readyz(self, request: GatewayRequest) -> dict[str, str]:
        """Whether new requests are welcome: 503 while starting or draining. `?verbose` names the checks."""
        service: HealthService = request.app.state.services.health
        if not service.ready():
            raise ServerDraining("The server is shutting down; ask again shortly.", retry_after_seconds=1)
        checks = service.report().checks if "verbose" in request.query_params else {}
        return {"status": "ok", **checks}

    @get("/health")
    async def health(self, request: GatewayRequest) -> Health:
        """How the models did lately, as far as requests showed it."""
        services = request.app.state.services
        services.recorder.flush()
        report: Health = services.health.report()
        return report

    @get("/metrics", media_type=METRICS_TYPE)
    async def metrics(self, request: GatewayRequest) -> Response[bytes]:
        """Counters in Prometheus' text format."""
        services = request.app.state.services
        services.recorder.flush()
        return Response(services.metrics.render(), media_type=METRICS_TYPE)
