"""The document that machines read, and the page that people read."""

from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files
from typing import get_args

import msgspec
from litestar import Controller, Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.routes import HTTPRoute
from litestar.serialization import encode_json

from service.errors import RouteNotFound
from service.http.access import ACCESS, OPEN
from service.http.request import GatewayRequest
from service.principal import Scope

PAGE = "index.html"

FILES = {
    PAGE: "text/html",
    "docs.css": "text/css",
    "docs.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""All that the page is made of, with the media types. Nothing else is read."""

SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Asked anew each time, so that a new version shows at once.
    "Cache-Control": "no-cache",
}


class DocsController(Controller):
    """Open to everybody, cheap, and complete without the internet."""

    path = "/"

    @get("/openapi.json", access=OPEN)
    async def document(self, request: GatewayRequest) -> Response[bytes]:
        """The routes, their fields, answers and errors, for tools (OpenAPI 3.1)."""
        return Response(published(request.app), media_type="application/json")

    @get("/docs", media_type="text/html", access=OPEN)
    async def page(self, request: GatewayRequest) -> Response[bytes]:
        """The same for people, with a form to try each route. Works without the internet."""
        if request.context.facts.path.endswith("/"):
            # The page's links are relative, so that it works below any path of a proxy.
            return Response(b"", status_code=307, headers={"Location": "../docs"})
        return _file(PAGE)

    @get("/docs/{name:str}", include_in_schema=False, access=OPEN)
    async def part(self, name: FromPath[str]) -> Response[bytes]:
        """A file of the page. Raises RouteNotFound for any other name."""
        if name not in FILES:
            raise RouteNotFound(f"There is no file {name[:100]!r} here; GET /docs is the page.")
        return _file(name)


@lru_cache(maxsize=1)
def published(app: Litestar) -> bytes:
    """The document of `app` as JSON, made when it is first asked for."""
    # Examples and tables that no other route needs: 25 ms of the start.
    from service.docs.openapi import complete

    framework = msgspec.json.decode(encode_json(app.openapi_schema.to_schema()))
    return msgspec.json.encode(complete(framework, set(_structs(app)), _scopes(app)))


def _handlers(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    """All that are in the document, with their paths."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if handler.resolve_include_in_schema():
                    yield route.path_format, handler


def _scopes(app: Litestar) -> dict[tuple[str, str], Scope | None]:
    """What the application's guard asks of whom, by method and path; not the routes that are open to everybody."""
    return {
        (method.lower(), path): handler.opt.get(ACCESS)
        for path, handler in _handlers(app)
        for method in handler.http_methods
        if handler.opt.get(ACCESS) != OPEN
    }


def _structs(app: Litestar) -> Iterator[type[msgspec.Struct]]:
    """The Structs that the routes take and give."""
    for _, handler in _handlers(app):
        for found in _types(handler):
            for one in get_args(found) or (found,):
                if isinstance(one, type) and issubclass(one, msgspec.Struct):
                    yield one


def _types(handler: HTTPRouteHandler) -> Iterator[object]:
    yield handler.parsed_return_field.annotation
    if handler.parsed_data_field is not None:
        yield handler.parsed_data_field.annotation
    for response in (handler.responses or {}).values():
        yield response.data_container


@cache
def _bytes(name: str) -> bytes:
    return files("service.docs").joinpath("page", name).read_bytes()


def _file(name: str) -> Response[bytes]:
    return Response(_bytes(name), media_type=FILES[name], headers=SAFE)
