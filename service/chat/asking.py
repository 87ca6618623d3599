"""One attempt on its way to a provider, up to the moment at which it counts as answered."""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Protocol, TypeVar

import msgspec

from service.chat.account import Account
from service.chat.dialects import Prepared
from service.chat.routing import Target
from service.providers.base import (
    Clocks,
    Exchange,
    Fault,
    FaultKind,
    Provider,
    Sink,
    StaleConnection,
    UpstreamRequest,
)


class Waiting(Sink, Protocol):
    """A sink with a future for the moment at which its attempt counts as answered."""

    exchange: Exchange | None
    headers: Mapping[str, str]
    ready: asyncio.Future[None]
    status: int


W = TypeVar("W", bound=Waiting)


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One attempt: whom, with what, and how long it may take."""

    account: Account
    target: Target
    provider: Provider
    prepared: Prepared
    clocks: Clocks


async def send(ask: Ask, make: Callable[[], W]) -> W:
    """Send the request and wait for its answer, in the sink that `make` made; raises Fault.

    A kept-alive connection that had died costs no attempt.
    """
    call, codec = ask.account.call, ask.provider.codec
    headers = (("X-Request-ID", call.facts.request_id), *codec.pass_on(call.passed_on))
    request = UpstreamRequest(ask.prepared.operation, ask.prepared.body, headers)
    began_at = monotonic()
    try:
        for fresh in (False, True):
            sink = make()
            sink.exchange = await ask.provider.upstream.open(request, sink, ask.clocks, fresh=fresh)
            try:
                await sink.ready
            except StaleConnection:
                continue
            except BaseException as error:
                sink.exchange.abort()
                if isinstance(error, Fault) and _broke_off_refusing(error, sink):
                    raise codec.fault(sink.status, sink.headers, b"") from error
                raise
            return sink
    finally:
        call.facts.upstream_seconds += monotonic() - began_at
    raise Fault(FaultKind.UNREACHABLE, "The provider closed the connection twice.", reason="reset")


def _broke_off_refusing(fault: Fault, sink: Waiting) -> bool:
    """Whether the transport failed in the body of a refusal, whose status says enough."""
    return fault.status is None and sink.status != 0 and not 200 <= sink.status < 300
