"""Routes for whoever operates the server: liveness, readiness, health and metrics."""

from litestar import Controller, Response, get

from service.health.service import Brief, Health, HealthService
from service.http.access import OPEN, require_operator, sees_operations
from service.http.request import GatewayRequest
from service.telemetry.metrics import Summary

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthController(Controller):
    """No route here asks a provider anything."""

    path = "/"

    @get("/livez", access=OPEN)
    async def livez(self) -> dict[str, str]:
        """Whether the process serves at all. Does no I/O."""
        return {"status": "ok"}

    @get("/healthz", access=OPEN)
    async def healthz(self) -> dict[str, str]:
        """The same as `/livez`."""
        return {"status": "ok"}

    @get("/readyz", access=OPEN)
    async def readyz(self, request: GatewayRequest) -> dict[str, str]:
        """Whether new requests are welcome: 503 while starting, draining, or a store is away.

        `?verbose` names the checks, to operators.
        """
        service: HealthService = request.app.state.services.health
        reason = service.unready()
        if reason is not None:
            raise reason
        if "verbose" in request.query_params:
            await self._require_operator(request)
            return {"status": "ok", **service.checks()}
        return {"status": "ok"}

    @get("/health", access=OPEN)
    async def health(self, request: GatewayRequest) -> Health | Brief:
        """How the models did lately, as far as requests showed it; to others only whether it is well."""
        services = request.app.state.services
        services.recorder.flush()
        report: Health = services.health.report()
        shown = await sees_operations(
            services.gatekeeper, request.context, metrics_open=services.metrics_open
        )
        return report if shown else Brief(report.status, report.version)

    @get("/metrics.json", access=OPEN)
    async def summary(self, request: GatewayRequest) -> Summary:
        """What requests added up to since the start, in five numbers."""
        await self._require_operator(request)
        services = request.app.state.services
        services.recorder.flush()
        summary: Summary = services.metrics.summary()
        return summary

    @get("/metrics", media_type=METRICS_TYPE, access=OPEN)
    async def metrics(self, request: GatewayRequest) -> Response[bytes]:
        """Counters in Prometheus' text format."""
        await self._require_operator(request)
        services = request.app.state.services
        services.recorder.flush()
        return Response(services.metrics.render(), media_type=METRICS_TYPE)

    async def _require_operator(self, request: GatewayRequest) -> None:
        services = request.app.state.services
        await require_operator(services.gatekeeper, request.context, metrics_open=services.metrics_open)
