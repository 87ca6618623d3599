"""The application on one screen: routes, error handlers, and what is wrapped around them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, cast

from litestar import Litestar, Router
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Server

from service import __version__
from service.chat.controllers import InferenceController, ModelsController
from service.chat.simple_controller import SimpleController
from service.chat.ticket_controller import TicketController
from service.config import Settings
from service.docs.controller import DocsController
from service.health.controller import HealthController
from service.http import refusals
from service.http.access import guard
from service.http.direct import direct_routes
from service.http.edge import App, Edge
from service.http.request import GatewayRequest
from service.keys.controller import KeysController
from service.lifespan import Services
from service.limits.controller import TenantsController, UsersController
from service.limits.standing_controller import LimitsController
from service.reload.controller import ReloadController
from service.streams.controller import StreamsController
from service.usage.controller import UsageController

OpenServices = Callable[[Settings, Edge, frozenset[str]], AbstractAsyncContextManager[Services]]


def create_app(settings: Settings, open_services: OpenServices) -> Edge:
    """The ASGI application. open_services: opens what handlers need, when the server starts."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        routes = frozenset(route.path for route in app.routes)
        async with open_services(settings, edge, routes) as services:
            app.state.services = services
            edge.record = services.recorder.record
            edge.is_open = lambda: not services.gatekeeper.required
            yield

    app = Litestar(
        route_handlers=[
            InferenceController,
            ModelsController,
            SimpleController,
            TicketController,
            StreamsController,
            KeysController,
            TenantsController,
            UsersController,
            LimitsController,
            UsageController,
            ReloadController,
            HealthController,
            DocsController,
        ],
        lifespan=[lifespan],
        guards=[guard],
        request_class=GatewayRequest,
        request_max_body_size=settings.server.max_body_bytes,
        exception_handlers={Exception: refusals.refuse, HTTPException: refusals.refuse},
        openapi_config=OpenAPIConfig(
            title="Penstock",
            version=__version__,
            # The framework's own pages load parts from the internet; ours are in `service.docs`.
            openapi_router=Router("/_", route_handlers=[], guards=[_nobody], include_in_schema=False),
            render_plugins=(),
            use_handler_docstrings=True,
            servers=[Server(url=settings.server.root_path or "/")],
        ),
        logging_config=None,
        debug=False,
    )
    edge = Edge(
        cast(App, app),
        cast(dict[str, App], direct_routes(app)),
        settings,
        partial(refusals.methods_of, app),
        partial(refusals.has_route, app),
    )
    return edge


def _nobody(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    raise NotFoundException
