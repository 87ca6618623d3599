"""The outermost layer: what is true of every request, whatever route it is for.

One pass over the headers; the refusals that need no route (size, host, method, draining); the
request id; CORS; and in the end the record of what happened. Pure ASGI, because each layer of a
framework here costs a microsecond or more of every request.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

from service import ids, problems
from service.config import Settings
from service.config.urls import is_loopback
from service.errors import (
    GatewayError,
    HeadersTooLarge,
    PermissionDenied,
    RouteNotFound,
    ServerDraining,
    ServerShutdown,
)
from service.grace import Grace
from service.http import cors, malformed
from service.http.address import client_address, networks
from service.http.body import too_large
from service.http.context import (
    NOTICE_SECONDS,
    SCOPE_KEY,
    CutReason,
    Headers,
    Message,
    Receive,
    RequestContext,
    Scope,
    Send,
)
from service.http.head import Head, read_head
from service.telemetry.facts import Facts

App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_HEADER_BYTES = 32 * 1024
"""All header lines together; nginx takes 32 KB too (4 x 8 KB). The server itself stops at 128 KB."""

MAX_ADDRESSES = 10_000
"""Callers' addresses that are remembered; more than that many and they are read anew."""

MAX_REMEMBERED_CHARACTERS = 200
"""Of an `X-Forwarded-For` that is remembered: some proxies. A caller may send 30 KB of them."""

BODILESS_METHODS = frozenset({"GET", "HEAD", "DELETE"})


class Edge:
    """Wraps the application.

    record: told each request's facts and the moment of its end; set when the services are open.
    is_open: whether callers need no key for now; the same.
    ready: what `/readyz` says; false some time before `drain`, where balancers need that.
    """

    def __init__(
        self,
        app: App,
        direct: Mapping[str, App],
        settings: Settings,
        methods_of: Callable[[str], tuple[str, ...]] = lambda path: (),
        has_route: Callable[[str], bool] = lambda path: True,
    ) -> None:
        """direct: by path, what answers its POSTs without the application's layers between.

        methods_of: what a path takes; the framework's own answer to OPTIONS knows one handler of it only.
        has_route: whether a path is one's as it is written; the framework doesn't mind slashes side by side.
        """
        self._app = app
        self._methods_of = methods_of
        self._has_route = has_route
        self._direct = direct
        self.use(settings)
        self.is_open: Callable[[], bool] = lambda: True
        self.record: Callable[[Facts, float], None] = _unrecorded
        self._trusted = networks(settings.server.trusted_proxies)
        # Most connections send many requests, and to read an address costs some microseconds.
        self._addresses: dict[tuple[str, str], str] = {}
        self._hosts_seen: set[bytes] = set()
        self._running: set[RequestContext] = set()
        self._draining = False
        self._grace: Grace | None = None
        self.ready = True

    def use(self, settings: Settings) -> None:
        """Go by these from the next request on."""
        self._server = settings.server
        # Nobody asked for an open server on purpose: then a web page must not reach it by DNS rebinding.
        self._may_be_open = (
            settings.auth.required is None
            and settings.auth.jwt is None
            and not settings.insecure_no_auth
            and is_loopback(settings.server.host)
        )

    @property
    def busy(self) -> bool:
        """Whether any request is still at work."""
        return bool(self._running)

    def drain(self) -> None:
        """Refuse what is new from now on."""
        self.ready = False
        self._draining = True

    def cut_all(self) -> None:
        """The drain's time is over: end what still runs, each with an error that says so."""
        for context in tuple(self._running):
            context.cut(CutReason.SHUTDOWN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        if self._server.root_path:
            scope["path"] = _below(self._server.root_path, scope["path"])
        passed_on: dict[str, str] = {}
        head = read_head(scope["headers"], passed_on)
        facts = Facts(ids.request_id(head.request_id), scope["method"], scope["path"], monotonic())
        facts.trace_id = head.trace_id
        context = RequestContext(
            facts=facts,
            receive=receive,
            send=send,
            extra_headers=[
                (b"x-request-id", facts.request_id.encode()),
                *cors.headers(self._server.cors_allow_origins, head.origin),
            ],
            passed_on=passed_on,
            credential=head.credential,
            address=self._address_of(scope, head),
            max_body_bytes=self._server.max_body_bytes,
            body_timeout_seconds=self._server.body_timeout_seconds,
            idempotency_key=head.idempotency_key,
        )
        if not head.content_length and scope["method"] in BODILESS_METHODS:
            # Nobody waits for a body that isn't there; what comes next can only be the client's leaving.
            context.body_complete()
        scope[SCOPE_KEY] = context
        patience = self._patience()
        patience.add(context)
        self._running.add(context)
        try:
            await self._answer(scope, receive, context, head)
        finally:
            context.close()
            patience.leave(context)
            self._running.discard(context)
            self.record(facts, monotonic())

    def _address_of(self, scope: Scope, head: Head) -> str:
        peer = scope["client"][0] if scope["client"] else ""
        place = (peer, head.forwarded_for if self._trusted else "")
        if len(place[1]) > MAX_REMEMBERED_CHARACTERS:
            return client_address(*place, self._trusted)
        found = self._addresses.get(place)
        if found is None:
            if len(self._addresses) >= MAX_ADDRESSES:
                self._addresses.clear()
            found = self._addresses[place] = client_address(*place, self._trusted)
        return found

    def _patience(self) -> Grace:
        if self._grace is None:
            self._grace = Grace(asyncio.get_running_loop(), NOTICE_SECONDS)
        return self._grace

    async def _answer(self, scope: Scope, receive: Receive, context: RequestContext, head: Head) -> None:
        try:
            if (refusal := self._refusal(scope, head)) is not None:
                await self._refuse(scope, context, refusal)
            elif scope["method"] == "OPTIONS" and (head.preflight or scope["path"] == "*"):
                await self._send_all(context, 204, cors.preflight_headers(), b"")
            else:
                if scope["method"] == "HEAD":
                    # The server leaves a HEAD's body out by itself, and keeps its length.
                    scope["method"] = "GET"
                app = self._direct.get(scope["path"], self._app) if scope["method"] == "POST" else self._app
                await app(scope, receive, self._noting(context))
        except asyncio.CancelledError:
            if context.cut_reason is None:
                raise
            await self._cut(scope, context, context.cut_reason)

    def _noting(self, context: RequestContext) -> Send:
        """The `send` for those who know nothing of the context: it adds its headers and notes the status."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: Headers = list(message["headers"])
                if context.facts.method == "OPTIONS":
                    headers = [self._with_methods(context.facts.path, *header) for header in headers]
                message = context.start_message(message["status"], headers)
            await context.send(message)

        return send

    def _with_methods(self, path: str, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        if name.lower() != b"allow":
            return name, value
        return name, ", ".join(self._methods_of(path)).encode() or value

    async def _cut(self, scope: Scope, context: RequestContext, reason: CutReason) -> None:
        """The request was ended from outside; whoever still listens is told why."""
        context.facts.outcome = context.facts.outcome or reason.value
        context.survive()
        if reason is CutReason.CLIENT_GONE:
            context.facts.outcome = reason.value
        elif not context.head_sent:
            error = ServerShutdown(
                "The server is shutting down; send the request again.", retry_after_seconds=1
            )
            await self._refuse(scope, context, error)

    def _refusal(self, scope: Scope, head: Head) -> GatewayError | None:
        """Why this request goes no further, in the contract's order."""
        if self._draining:
            return ServerDraining("The server is shutting down; ask again shortly.", retry_after_seconds=1)
        if head.size > MAX_HEADER_BYTES:
            return HeadersTooLarge(
                f"The headers are larger than {MAX_HEADER_BYTES} bytes together; send less."
            )
        if head.content_length is not None and head.content_length > self._server.max_body_bytes:
            return too_large(self._server.max_body_bytes)
        if (error := malformed.host_error(scope["http_version"], head.host)) is not None:
            return error
        if self._is_rebound(head):
            return PermissionDenied(
                "This server is open, so it answers only to localhost, 127.0.0.1 and [::1] as Host. Set"
                " auth.required in its configuration to serve other names.",
                param="Host",
            )
        if (wrong := malformed.method_error(scope["method"])) is not None:
            return wrong
        if "//" in (path := scope["path"]) and not self._has_route(path):
            return RouteNotFound(f"There is no route {path[:200]!r}; write one slash where there are two.")
        return malformed.query_error(scope["query_string"]) if scope["query_string"] else None

    def _is_rebound(self, head: Head) -> bool:
        """Whether a page of another name may be calling a server that is open to this machine."""
        # Browsers always send a Host.
        if not self._may_be_open or not head.host or self._is_loopback(head.host):
            return False
        return self.is_open()

    def _is_loopback(self, host: bytes) -> bool:
        if host in self._hosts_seen:
            return True
        if not malformed.is_loopback(host):
            return False
        if len(self._hosts_seen) < 100:
            self._hosts_seen.add(host)
        return True

    async def _refuse(self, scope: Scope, context: RequestContext, error: GatewayError) -> None:
        facts = context.facts
        rendered = problems.render(error, path=scope["path"], request_id=facts.request_id)
        facts.problem = problems.code_of(error)
        facts.outcome = facts.outcome or "refused"
        await self._send_all(context, rendered.status, rendered.headers, rendered.body)

    async def _send_all(self, context: RequestContext, status: int, headers: Headers, body: bytes) -> None:
        length = [(b"content-length", str(len(body)).encode())] if status != 204 else []
        await context.send(context.start_message(status, [*headers, *length]))
        await context.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            await self._app(scope, receive, send)


def _unrecorded(facts: Facts, ended_at: float) -> None:
    """Before the services are open no request comes."""


def _below(root_path: str, path: str) -> str:
    """`path` as seen from `server.root_path`; a proxy may have taken that off already."""
    if path == root_path or path.startswith(root_path + "/"):
        return path[len(root_path) :] or "/"
    return path
