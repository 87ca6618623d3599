"""The use case: answer a call by the first target that can, and note what it took.

One engine drives whole answers and streams alike: an attempt either brings an answer (a stream's
first event is one) or a fault, and `attempts.next_step` says what follows. Nothing here knows
HTTP; a client that leaves is a cancellation, which closes the provider's connection at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import monotonic
from typing import TypeVar, cast

import msgspec

from service.chat import attempts, dialects, routing
from service.chat.account import Account
from service.chat.accounts import Accounts
from service.chat.asking import Ask, send
from service.chat.attempts import Attempt, Budget, GiveUp, Spent
from service.chat.call import Call
from service.chat.catalog import Catalog
from service.chat.headers import Headers, answer_headers, model_header
from service.chat.outcome import cost_usd, note_end, note_error, note_fault, note_usage
from service.chat.routing import Target
from service.clock import Clock
from service.config import Retries, Streams, UsageSettings
from service.errors import GatewayError
from service.providers.base import (
    Clocks,
    Fault,
    FaultKind,
    Operation,
    Provider,
)
from service.providers.outcomes import error_of
from service.providers.whole import WholeSink
from service.streams.ports import Absence, Format, OnDisconnect
from service.streams.registry import StreamRegistry
from service.streams.relay import Relay
from service.streams.stream import ABANDONED, SHUTDOWN, Audience, Stream

T = TypeVar("T")


FIRST_VIEWER_SECONDS = 30.0
"""Beyond `streams.linger_seconds`: how long a stream that was asked for with a ticket waits for its first viewer."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A whole answer in the client's dialect, and what its headers say about it."""

    body: bytes
    headers: Headers


class Drains(msgspec.Struct):
    """How many answers that nobody reads are read on for the bill's sake: those of a worker before a reload count, too."""

    running: int = 0


class ChatService:
    """Everything that asks a model. One per worker, made inside its loop."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        providers: Mapping[str, Provider],
        retries: Retries,
        streams: Streams,
        registry: StreamRegistry,
        usage: UsageSettings,
        accounts: Accounts,
        clock: Clock,
        draw: Callable[[], float],
        drains: Drains,
    ) -> None:
        """draw: chance in [0, 1), for weights and waits."""
        self._loop = asyncio.get_running_loop()
        self.catalog = catalog
        self._providers = providers
        self._retries = retries
        self._streams = streams
        self._registry = registry
        self._usage = usage
        self._drains = drains
        self._accounts = accounts
        self._clock = clock
        self._draw = draw
        self.heartbeat_seconds = streams.heartbeat_seconds

    async def answer(self, call: Call) -> Reply:
        """The whole answer to `call`. Raises GatewayError where no attempt brought one."""
        account = await self._open(call)
        try:
            reply = await self._run(account, self._ask_whole)
            note_end(call.facts)
        except GatewayError as error:
            note_error(call.facts, error)
            raise
        except Exception:
            call.facts.outcome = "internal_error"
            raise
        finally:
            self._accounts.close(account)
        return reply

    async def stream(self, call: Call, audience: Audience) -> None:
        """Bring `call`'s stream to its audience, and stay until it is over.

        Raises GatewayError where no attempt brought an event, unless the head went out before
        (`streams.commit_after_seconds`): then the error is the stream's only event.
        """
        account = await self._open(call)
        try:
            stream = self._make_stream(call)
        except GatewayError as error:
            note_error(call.facts, error)
            self._accounts.close(account)
            raise
        early = self._loop.call_later(
            self._streams.commit_after_seconds, self._commit_early, call, stream, audience
        )
        try:
            await self._run(account, lambda ask: self._ask_stream(ask, stream, audience, early))
        except GatewayError as error:
            note_error(call.facts, error)
            if not audience.begun:
                raise
            await self._say_goodbye(call, stream, audience, error)
        except asyncio.CancelledError:
            reason = _reason_to_stop(stream, audience)
            if reason is None:
                stream.error = ABANDONED
                raise
            note_error(call.facts, reason)
            await self._say_goodbye(call, stream, audience, reason)
        except Exception:
            call.facts.outcome = "internal_error"
            raise
        finally:
            self._accounts.close(account)
            early.cancel()
            audience.close()
            self._end_stream(call, stream)

    async def _open(self, call: Call) -> Account:
        """The call's account, once its model exists and its limits allow it. Raises GatewayError."""
        try:
            alias = self.catalog.find(call.model)
            call.facts.model = alias.name
            return await self._accounts.open(call, alias)
        except GatewayError as error:
            note_error(call.facts, error)
            raise

    async def admit(self, call: Call) -> None:
        """Hold a call that is answered without a provider against its caller's limits. Raises GatewayError."""
        self._accounts.close(await self._open(call))

    def counts_tokens(self, model: str) -> bool:
        """Whether the provider of `model`'s first target counts tokens itself. Raises ModelNotFound."""
        alias = self.catalog.find(model)
        provider = self._providers[alias.targets[0][0].provider]
        return Operation.COUNT_TOKENS in provider.operations

    def _make_stream(self, call: Call) -> Stream:
        settings, task = self._streams, cast("asyncio.Task[None]", asyncio.current_task())
        absence = Absence(
            call.on_disconnect or OnDisconnect(settings.on_disconnect),
            settings.linger_seconds,
            settings.linger_seconds + FIRST_VIEWER_SECONDS,
        )
        return self._registry.make(call.owner, absence, task.cancel, dialect=call.surface.dialect.value)

    def _commit_early(self, call: Call, stream: Stream, audience: Audience) -> None:
        if audience.commits_early:
            stream.announce()
            audience.begin([*stream.headers, model_header(call.facts)])

    async def _say_goodbye(self, call: Call, stream: Stream, audience: Audience, error: GatewayError) -> None:
        stream.finish([call.surface.error_event(error, request_id=call.facts.request_id)], error)
        await audience.attend(stream)

    def _end_stream(self, call: Call, stream: Stream) -> None:
        """Nobody waits for events that nobody brings: whoever joined is told, of a failure of ours too."""
        if stream.announced and not stream.over:
            error = stream.error or GatewayError(
                "Something went wrong on our side; the log has it by request_id."
            )
            stream.finish([call.surface.error_event(error, request_id=call.facts.request_id)], error)
        self._registry.forget(stream)

    async def _run(self, account: Account, ask: Callable[[Ask], Awaitable[T]]) -> T:
        """Attempt after attempt until one answers. Raises what the last fault means to the client."""
        call = account.call
        alias = self.catalog.find(call.model)
        targets = routing.plan(alias, self.catalog.aliases, self._draw())
        deadline_at = self._loop.time() + targets[0].timeouts.total_seconds
        budget = Budget(self._retries.max_attempts, self._retries.max_wait_seconds, deadline_at)
        spent, step, told = Spent(), Attempt(0, 0.0), None
        while True:
            await self._wait(call, step.wait_seconds)
            spent = attempts.spend(spent, step)
            try:
                return await self._attempt(account, targets[step.target_index], deadline_at, ask)
            except Fault as fault:
                if fault.kind is FaultKind.UNSPEAKABLE:
                    spent = msgspec.structs.replace(spent, attempts=spent.attempts - 1)
                else:
                    account.failed(fault)
                if told is None or fault.kind is not FaultKind.UNSPEAKABLE:
                    told = fault
                last = fault
                note_fault(call.facts, fault)
                next_step = attempts.next_step(
                    fault, spent, budget, targets=len(targets), now=self._loop.time(), chance=self._draw()
                )
            if isinstance(next_step, GiveUp):
                pause = attempts.whole_seconds(told.retry_after_seconds)
                # A fallback that can't even be asked takes nothing from what the one before it said.
                too_long = next_step.too_long or (told is not last and pause is not None)
                raise error_of(told, retry_after_seconds=pause, too_long=too_long) from told
            step = next_step

    async def _wait(self, call: Call, seconds: float) -> None:
        if seconds:
            call.facts.upstream_seconds += seconds
            await asyncio.sleep(seconds)

    async def _attempt(
        self, account: Account, target: Target, deadline_at: float, ask: Callable[[Ask], Awaitable[T]]
    ) -> T:
        call = account.call
        provider = self._providers[target.provider]
        prepared = dialects.prepare(call, target, provider.codec.dialect, stream_usage=provider.stream_usage)
        if prepared.operation not in provider.operations:
            detail = f"The provider of {call.model!r} does not offer this operation; use another model."
            raise Fault(FaultKind.UNSPEAKABLE, detail, reason="operation", param="model")
        timeouts = target.timeouts
        first_byte_seconds = timeouts.first_token_seconds if call.stream else timeouts.answer_seconds
        clocks = Clocks(timeouts.connect_seconds, first_byte_seconds, timeouts.idle_seconds, deadline_at)
        call.facts.attempts += 1
        call.facts.target = target.name
        account.begin(target)
        return await ask(Ask(account, target, provider, prepared, clocks))

    async def _ask_whole(self, ask: Ask) -> Reply:
        account, codec = ask.account, ask.provider.codec
        call = account.call
        sink = await send(ask, lambda: account.gather(WholeSink(self._loop)))
        if not 200 <= sink.status < 300:
            raise codec.fault(sink.status, sink.headers, sink.body)
        try:
            found = codec.read_answer(sink.body)
        except Fault as fault:
            if fault.kind is not FaultKind.CUT:
                account.answer_bytes = 0
            raise
        account.answer_bytes = found.content_bytes
        note_usage(call.facts, found.usage, ask.target)
        bridge = dialects.BRIDGES[call.surface.dialect, codec.dialect]
        try:
            body = bridge.answer(sink.body, int(self._clock.now()))
        except msgspec.MsgspecError as error:
            detail = f"The provider's answer is not what its dialect says: {error}"
            raise Fault(FaultKind.CUT, detail, reason="bad_answer") from None
        return Reply(body, self._headers(ask, sink.headers))

    async def _ask_stream(
        self, ask: Ask, stream: Stream, audience: Audience, early: asyncio.TimerHandle
    ) -> None:
        """Bring one stream to its first event, then see it through: from there on no fault leaves here."""
        facts = ask.account.call.facts
        relay = await send(ask, lambda: self._relay(ask, stream))
        early.cancel()
        facts.first_event_at = relay.first_event_at
        try:
            stream.go_live(self._headers(ask, relay.headers), relay, partial(self._abandon, relay))
            await audience.attend(stream)
            note_end(facts, relay.error, relay.fault)
            if relay.drains:
                facts.outcome = "client_abort"
        except asyncio.CancelledError:
            relay.abort()
            raise
        finally:
            self._drains.running -= relay.drains
            note_usage(facts, relay.reader.usage, ask.target)

    def _abandon(self, relay: Relay) -> None:
        """Nobody will read it any more: end it, or let the provider finish for the bill's sake, within bounds."""
        usage = self._usage
        if relay.drains:
            return
        if usage.on_abort == "drain" and self._drains.running < usage.drain_streams:
            self._drains.running += 1
            relay.drain(usage.drain_seconds, usage.drain_tokens)
        else:
            relay.stop(ABANDONED)

    def _relay(self, ask: Ask, stream: Stream) -> Relay:
        account, codec = ask.account, ask.provider.codec
        call = account.call
        bridge = dialects.BRIDGES[call.surface.dialect, codec.dialect]
        reader = account.reader = codec.reader(pass_usage=dialects.passes_usage(call, codec.dialect))
        stages = (call.last_stage(lambda: cost_usd(reader.usage, ask.target)),) if call.last_stage else ()
        client_format = Format(
            translators=(*bridge.translators(call, int(self._clock.now())), *stages),
            end_mark=call.surface.end_mark,
            error_event=lambda error: call.surface.error_event(error, request_id=call.facts.request_id),
        )
        watch = account.keeps_within if account.has_budget else None
        return Relay(self._loop, stream, codec, reader, client_format, watch)

    def _headers(self, ask: Ask, upstream_headers: Mapping[str, str]) -> Headers:
        facts = ask.account.call.facts
        overhead_seconds = monotonic() - facts.started_at - facts.upstream_seconds
        return answer_headers(facts, ask.prepared.dropped, upstream_headers, overhead_seconds)


def _reason_to_stop(stream: Stream, audience: Audience) -> GatewayError | None:
    """Why a task was cancelled whose stream is still to tell of it; None: there is nobody to tell."""
    if stream.error is not None and not stream.over:
        cast("asyncio.Task[None]", asyncio.current_task()).uncancel()
        return stream.error
    return SHUTDOWN if audience.begun and audience.outlives_cut() else None
