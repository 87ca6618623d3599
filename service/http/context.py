"""One request's life at the edge: who it is, what it is waiting for, and why it may be cut short.

A request is ended from outside in one way only: its task is cancelled, with a reason. Each await
on its way is then a place where it stops, and `finally` closes what it holds.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from enum import Enum
from typing import Any, cast

from service.principal import Principal
from service.telemetry.facts import Facts

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]

SCOPE_KEY = "penstock.context"

NOTICE_SECONDS = 0.2
"""Most answers are quicker, and then nobody ever looks whether the client is still there. A look
costs some 15 us; the contract allows 500 ms until the provider's connection closes."""


NOBODY = Principal()
"""Who calls before anybody looked: one that may do nothing."""


class CutReason(Enum):
    """Why a request was ended before its time."""

    CLIENT_GONE = "client_abort"
    BODY_TIMEOUT = "body_timeout"
    SHUTDOWN = "server_shutdown"
    TOO_SLOW = "too_slow"


class RequestContext:
    """What the edge knows of one request, in the ASGI scope under SCOPE_KEY.

    send: the server's own: what it returns tells whether the client keeps up (`service.http.viewer`), so whoever
    wraps it (`service.idempotency.noting`) passes that on. parts: the facts of what it consists of, if it is several calls.
    lingers: whether it goes on though it was cut. extra_headers: go into the head of every answer. credential: what
    the caller showed, as it came. idempotency_key: that header's value, "" where it came twice. wanted: whether
    others wait for this request's answer, asked before its client's leaving ends it (`unwanted` then does);
    client_left: it has left so. address: whom an anonymous caller is taken for. principal: who it
    is, once that is known.
    """

    __slots__ = (
        "_body_seconds",
        "_late",
        "_loop",
        "_receive",
        "_task",
        "_timer",
        "_watch",
        "address",
        "body_read",
        "client_left",
        "credential",
        "cut_reason",
        "extra_headers",
        "facts",
        "head_sent",
        "idempotency_key",
        "lingers",
        "max_body_bytes",
        "open",
        "parts",
        "passed_on",
        "principal",
        "send",
        "wanted",
    )

    def __init__(
        self,
        *,
        facts: Facts,
        receive: Receive,
        send: Send,
        extra_headers: Headers,
        passed_on: dict[str, str],
        credential: bytes | None,
        address: str,
        max_body_bytes: int,
        body_timeout_seconds: float,
        idempotency_key: bytes | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = cast("asyncio.Task[None]", asyncio.current_task(self._loop))
        self._receive = receive
        self._body_seconds = body_timeout_seconds
        self._watch: asyncio.Future[Message] | None = None
        self._late = False
        self._timer: asyncio.TimerHandle | None = None
        self.open = True
        self.address = address
        self.body_read = False
        self.client_left = False
        self.credential = credential
        self.cut_reason: CutReason | None = None
        self.extra_headers = extra_headers
        self.facts = facts
        self.head_sent = False
        self.idempotency_key = idempotency_key
        self.lingers = False
        self.max_body_bytes = max_body_bytes
        self.parts: tuple[Facts, ...] = ()
        self.passed_on = passed_on
        self.principal = NOBODY
        self.send = send
        self.wanted: Callable[[], bool] | None = None

    def cut(self, reason: CutReason) -> None:
        """End the request; the first reason stands, and only a shutdown ends what had survived it."""
        if self.cut_reason is None:
            if reason is CutReason.CLIENT_GONE and self.wanted is not None and self.wanted():
                self.client_left = True
                return
            self.cut_reason = reason
            for facts in (self.facts, *self.parts):
                facts.outcome = facts.outcome or reason.value
            self._task.cancel()
        elif self.lingers and reason is CutReason.SHUTDOWN:
            self.lingers = False
            self._task.cancel()

    def unwanted(self) -> None:
        """Nobody else waits for the answer any more: end the request if its client had left."""
        if self.client_left and self.open:
            self.cut(CutReason.CLIENT_GONE)

    def survive(self, *, lingers: bool = False) -> None:
        """Take the cancellation back: what is left to do (an error's answer) may await again.

        lingers: it may take long, so a shutdown is to end it.
        """
        self.lingers = lingers
        self._task.uncancel()

    def body_complete(self) -> None:
        """The body was read; from now on a message from the client can only be its leaving."""
        self.body_read = True
        if self._late:
            self._watch_client()

    def answered(self) -> None:
        """The client has its answer, and what the task does from now on is not for it: its leaving means nothing."""
        self.lingers = True
        self._stop_watching()

    def close(self) -> None:
        """The request is over: no timer and no watch outlives it."""
        self.open = False
        self._stop_watching()

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
            # It holds `_heard`, and so this object. The server's awaitable is not Python's, and the
            # garbage collector can't see through it: a circle of the two would stay for good.
            self._watch = None

    def start_message(self, status: int, headers: Headers) -> Message:
        """The head of an answer that is sent past the other layers, and notes that it was."""
        self.facts.status = status
        self.head_sent = True
        return {"type": "http.response.start", "status": status, "headers": [*headers, *self.extra_headers]}

    def grace_over(self) -> None:
        """It takes long: look whether the client is still there, or how long its body may take."""
        self._late = True
        if self.lingers:
            return
        if self.body_read:
            self._watch_client()
        else:
            seconds = max(0.0, self._body_seconds - NOTICE_SECONDS)
            self._timer = self._loop.call_later(seconds, self._body_overdue)

    def _body_overdue(self) -> None:
        if not self.body_read:
            self.cut(CutReason.BODY_TIMEOUT)

    def _watch_client(self) -> None:
        # Granian's awaitable is a future in asyncio's sense, so this makes no task of its own.
        self._watch = asyncio.ensure_future(self._receive())  # noqa: TID251 - see above; `close` ends it
        self._watch.add_done_callback(self._heard)

    def _heard(self, watch: "asyncio.Future[Message]") -> None:
        if watch.cancelled():
            return
        if watch.exception() is None and watch.result()["type"] == "http.request":
            # The empty message that ends a body whose length was known.
            self._watch_client()
        else:
            self.cut(CutReason.CLIENT_GONE)


def context_of(scope: Scope) -> RequestContext:
    """The context that the edge put into `scope`."""
    return cast(RequestContext, scope[SCOPE_KEY])
