"""From an exception in a route to the problem that the client gets."""

from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE
from litestar.utils.path import normalize_path

from service import problems
from service.errors import GatewayError, InvalidRequest, MethodNotAllowed, RouteNotFound
from service.http.body import too_large
from service.http.request import GatewayRequest

_log = structlog.get_logger()


def refuse(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to whatever a handler raised."""
    assert isinstance(request, GatewayRequest)
    if isinstance(error, GatewayError):
        return gateway_error(request, error)
    if isinstance(error, HTTPException):
        return http_exception(request, error)
    return own_fault(request, error)


def gateway_error(request: GatewayRequest, error: GatewayError) -> Response[bytes]:
    """A fact of ours, by the table in `service.problems`."""
    facts = request.context.facts
    facts.problem = problems.code_of(error)
    facts.outcome = facts.outcome or "refused"
    rendered = problems.render(error, path=request.scope["path"], request_id=facts.request_id)
    headers = {name.decode(): value.decode() for name, value in rendered.headers if name != b"content-type"}
    return Response(
        rendered.body, status_code=rendered.status, headers=headers, media_type=problems.MEDIA_TYPE.decode()
    )


def http_exception(request: GatewayRequest, error: HTTPException) -> Response[bytes]:
    """What the framework refuses: unknown route, wrong method, a query parameter that doesn't fit."""
    return gateway_error(request, _as_fact(request, error))


def own_fault(request: GatewayRequest, error: Exception) -> Response[bytes]:
    """A bug: the client learns only that it was ours, the log all of it."""
    facts = request.context.facts
    facts.outcome = "internal_error"
    _log.error("request.failed", request_id=facts.request_id, path=facts.path, exc_info=error)
    return gateway_error(
        request, GatewayError("Something went wrong on our side; the log has it by request_id.")
    )


def _as_fact(request: GatewayRequest, error: HTTPException) -> GatewayError:
    if isinstance(error, NotFoundException):
        return RouteNotFound(f"There is no route {request.scope['path'][:200]!r}; GET /docs lists them all.")
    if isinstance(error, MethodNotAllowedException):
        allow = methods_of(request.app, request.scope["path"])
        method = request.context.facts.method
        return MethodNotAllowed(f"This route has no {method}; it takes {', '.join(allow)}.", allow=allow)
    if error.status_code == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
        return too_large(request.context.max_body_bytes)
    return InvalidRequest(str(error.detail))


def methods_of(app: Litestar, path: str) -> tuple[str, ...]:
    """The methods of the route that `path` belongs to, HEAD with GET; the most literal one where several fit."""
    wanted = normalize_path(path).split("/")
    fitting = [route for route in app.routes if _fits(route.path.split("/"), wanted)]
    if not fitting:
        return ()
    nearest = min(fitting, key=lambda route: route.path.count("{"))
    found = {method for route in fitting if route.path == nearest.path for method in route.methods}
    return tuple(sorted(found | {"HEAD"} if "GET" in found else found))


def has_route(app: Litestar, path: str) -> bool:
    """Whether a route has that very path, with each slash of it."""
    return any(_fits(route.path.split("/"), path.split("/")) for route in app.routes)


def _fits(route: list[str], path: list[str]) -> bool:
    """Whether a route's segments are those of a path; a placeholder of type `path` takes all the rest."""
    for position, segment in enumerate(route):
        if segment.endswith(":path}"):
            return True
        if position >= len(path) or (segment != path[position] and not segment.startswith("{")):
            return False
    return len(route) == len(path)
