"""The hot routes, called without the framework's layers between.

Litestar's own way to a handler (routing, two exception layers, kwargs, an exit stack) costs some
25 us of a request. These routes use none of it, so the edge calls the same handler function with
the same decoded Struct and sends what it raises through the same exception handlers. Only what
was registered is looked up: handlers with guards of their own, dependencies or hooks are left to Litestar;
the application's own guard (`service.http.access`) is called here.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from service.http import refusals
from service.http.access import guard, identify
from service.http.context import Receive, RequestContext, Scope, Send, context_of
from service.http.replies import GatewayReply
from service.http.request import GatewayRequest

Handler = Callable[..., Awaitable[GatewayReply]]

KEYED = "/v1/"
"""Below this path a request may carry an `Idempotency-Key`."""


class Idempotency(Protocol):
    """Knows requests that come again (`service.idempotency`)."""

    async def run(
        self, context: RequestContext, body: bytes, work: Callable[[], Awaitable[None]]
    ) -> GatewayReply | None:
        """Let `work` answer the request, once for all that come with its key; else what to answer instead."""


class DirectRoute:
    """One POST route of a controller whose handlers take `request` and `data`."""

    __slots__ = ("_app", "_handle", "_handler", "_is_keyed")

    def __init__(self, app: Litestar, handler: HTTPRouteHandler, *, is_keyed: bool) -> None:
        """is_keyed: `Idempotency-Key` means something here."""
        self._app = app
        self._is_keyed = is_keyed
        self._handler = handler
        self._handle: Handler = handler.fn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. `send` is used for errors only: replies know their own way."""
        scope["litestar_app"] = self._app
        scope["route_handler"] = self._handler
        request = GatewayRequest.directly(scope, receive)
        context = context_of(scope)
        try:
            await identify(self._app.state.services.gatekeeper, context)
            if self._is_keyed and context.idempotency_key is not None:
                await self._answer_once(request, scope, receive, send)
                return
            data = await request.json()
            reply = await self._handle(request=request, data=data)
            await reply(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - `_refuse` tells them apart
            await _refuse(error, scope, receive, send)

    async def _answer_once(self, request: GatewayRequest, scope: Scope, receive: Receive, send: Send) -> None:
        idempotency: Idempotency = self._app.state.services.idempotency
        work = partial(self._work, request, scope, receive, send)
        reply = await idempotency.run(request.context, await request.body(), work)
        if reply is not None:
            await reply(scope, receive, send)

    async def _work(self, request: GatewayRequest, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse: here a refusal is an answer like others, and may be kept."""
        try:
            data = await request.json()
            reply = await self._handle(request=request, data=data)
            await reply(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - `_refuse` tells them apart
            await _refuse(error, scope, receive, send)


async def _refuse(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what was raised; raise it again where the answer has begun."""
    if context_of(scope).head_sent:
        raise error
    request = GatewayRequest(scope, receive, send)  # type: ignore[arg-type]  # Litestar's own names for ASGI's dicts
    response = refusals.refuse(request, error)
    await response.to_asgi_response(app=None, request=request)(scope, receive, send)  # type: ignore[arg-type]  # the same


def direct_routes(app: Litestar) -> dict[str, DirectRoute]:
    """By path, the POST routes that answer with a GatewayReply and want nothing but their handler called.

    Each with a slash at its end too: the framework takes it as the same route.
    """
    return {
        path: DirectRoute(app, handler, is_keyed=route.path.startswith(KEYED))
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "POST" in handler.http_methods and _is_plain(handler)
        for path in (route.path, route.path + "/")
    }


def _is_plain(handler: HTTPRouteHandler) -> bool:
    hooks = (
        [other for other in handler.resolve_guards() if other is not guard],
        handler.resolve_dependencies(),
        handler.resolve_before_request(),
        handler.resolve_after_response(),
        handler.resolve_middleware(),
    )
    replies = handler.parsed_fn_signature.return_type.annotation is GatewayReply
    return replies and set(handler.parsed_fn_signature.parameters) == {"request", "data"} and not any(hooks)
