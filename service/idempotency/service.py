"""The use case: a request that comes again with the same `Idempotency-Key` is answered once.

The first comer of a key leads: it looks into the store, claims the key, and makes the call. Those
that come meanwhile wait for what it finds or makes. In one worker all that is decided without an
await between looking and registering, so the store sees one claim for any number of requests.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Final, TypeVar

import structlog

from service import ids
from service.errors import GatewayError, IdempotencyConflict, IdempotencyMismatch, StoreUnavailable
from service.http.context import RequestContext
from service.http.replies import GatewayReply
from service.idempotency.key import HEADER, body_hash_of, parse_key, scope_of
from service.idempotency.noting import AnswerNote
from service.idempotency.ports import Siblings, Store, Streams
from service.idempotency.record import Answer, Claim, Record, Step, next_step
from service.idempotency.replies import REPLAYED, ReplayedReply
from service.idempotency.running import Running, Stage
from service.polling import Poller

T = TypeVar("T")

RENEW_SECONDS: Final = 10.0
"""How often claims that still run are renewed: thrice within the time for which a store holds them."""

SWEEP_STEPS: Final = 6
"""Every so many renewals what has expired is deleted."""

_log = structlog.get_logger()


class IdempotencyService:
    """All keys of one worker. Made inside its loop.

    max_body_bytes: of an answer that is kept; a larger one is given to those who wait for it, and forgotten.
    """

    def __init__(self, store: Store, siblings: Siblings, streams: Streams, max_body_bytes: int) -> None:
        self._store = store
        self._siblings = siblings
        self._streams = streams
        self._max_body_bytes = max_body_bytes
        self._running: dict[bytes, Running] = {}
        self._writes: set[asyncio.Task[None]] = set()
        self._tending = Poller(self._tend, RENEW_SECONDS)
        self._steps = 0

    async def start(self) -> None:
        """Renew and sweep from now on."""
        await self._tending.start()

    async def close(self) -> None:
        """Finish what is being written."""
        await self._tending.close()
        while self._writes:
            await asyncio.wait(self._writes)

    async def run(
        self, context: RequestContext, body: bytes, work: Callable[[], Awaitable[None]]
    ) -> GatewayReply | None:
        """Answer the request by `work`, which sends its answer or refusal itself, unless its key was used before.

        Returns what to answer instead; None where `work` did. Raises InvalidRequest for a malformed key,
        IdempotencyMismatch, IdempotencyConflict, StoreUnavailable, and what `work` and a stream's `join` raise.
        """
        claim = _claim_of(context, body)
        while True:
            running = self._running.get(claim.scope)
            if running is None:
                return await self._lead(claim, context, work)
            reply = await self._follow(running, claim, context)
            if reply is not None:
                return reply

    async def over(self, claim_id: str) -> None:
        """Return when the call of that claim is over, streams to whoever joins it, or was never made here."""
        for running in self._running.values():
            if running.claim.id == claim_id:
                await running.outcome()
                if running.write is not None:
                    # Who asks looks into the store then, and would take a stream that isn't there for a failure.
                    await asyncio.wait((running.write,))
                return

    async def _lead(
        self, claim: Claim, context: RequestContext, work: Callable[[], Awaitable[None]]
    ) -> GatewayReply | None:
        running = self._running[claim.scope] = Running(claim, context)
        context.wanted = running.is_wanted
        try:
            try:
                record = await self._look(running)
            except GatewayError as error:
                self._end(running, error)
                raise
            if record is None:
                running.begin()
                await self._make(running, context, work)
                return None
            # One whose body is another learns of it before the call is over, for which those who wait still wait.
            self._end(running, record if record.servable else None)
        finally:
            context.wanted = None
            if running.stage in {Stage.LOOKING, Stage.RUNNING}:
                self._write(running, self._store.forget(claim))
                self._end(running, None)
        return await self._serve(record, claim, context)

    async def _follow(self, running: Running, claim: Claim, context: RequestContext) -> GatewayReply | None:
        """Wait for another request's call. None: nothing came of it, and the key is free."""
        running.join()
        try:
            if await running.is_bound() and running.claim.body_hash != claim.body_hash:
                raise _mismatch()
            outcome = await running.outcome()
            if isinstance(outcome, GatewayError):
                raise outcome.with_traceback(None)
            return None if outcome is None else await self._serve(outcome, claim, context)
        finally:
            running.leave()

    async def _look(self, running: Running) -> Record | None:
        """Claim the key; None: it is ours. Else what stands behind it. Raises IdempotencyConflict."""
        claim, tag, alone = running.claim, self._siblings.tag, self._siblings.alone
        dead = over = unheard = ""
        while True:
            record = await self._owned(running, self._store.claim(claim, tag, dead))
            if record is None:
                return None
            step = next_step(record, claim.body_hash, tag=tag, alone=alone, over=over, unheard=unheard)
            if step is Step.SERVE:
                return record
            if step is Step.CONFLICT:
                raise _conflict()
            if step is Step.TAKE_OVER:
                dead = record.claim_id
                continue
            running.bind()
            if await self._siblings.wait_for(record.worker, record.claim_id):
                over = record.claim_id
            else:
                unheard = record.claim_id

    async def _make(
        self, running: Running, context: RequestContext, work: Callable[[], Awaitable[None]]
    ) -> None:
        send = context.send
        note = AnswerNote(context, partial(self._keep, running), partial(self._note_stream, running))
        context.send = note.send
        try:
            await work()
        finally:
            context.send = send

    async def _serve(self, record: Record, claim: Claim, context: RequestContext) -> GatewayReply:
        if record.body_hash != claim.body_hash:
            raise _mismatch()
        reply: GatewayReply
        if record.answer is not None:
            reply = ReplayedReply(context, record.answer)
        else:
            reply = await self._streams.join(record.stream_id, context.principal.key_id, context)
        context.extra_headers.append(REPLAYED)
        return reply

    async def _keep(self, running: Running, answer: Answer) -> None:
        """The call is answered. That is written even if the request is cut meanwhile."""
        running.stage = Stage.OVER
        claim = running.claim
        record = Record(claim.id, claim.body_hash, self._siblings.tag, running=False, answer=answer)
        fits = len(answer.body) <= self._max_body_bytes
        write = self._store.keep(claim, self._siblings.tag, answer) if fits else self._store.forget(claim)
        await asyncio.shield(self._write(running, write, partial(self._end, running, record)))

    def _note_stream(self, running: Running, stream_id: str) -> None:
        if not stream_id:
            running.keep_to_itself()
            return
        running.stage = Stage.STREAMING
        claim = running.claim
        self._write(running, self._store.stream(claim, stream_id))
        running.resolve(
            Record(claim.id, claim.body_hash, self._siblings.tag, running=True, stream_id=stream_id)
        )
        self._streams.on_end(stream_id, partial(self._end_stream, running))

    def _end_stream(self, running: Running, failed: bool) -> None:
        running.stage = Stage.OVER
        claim = running.claim
        if failed:
            self._write(running, self._store.forget(claim))
            self._end(running, None)
        else:
            # Until that is written whoever comes joins it here: the store says that it still runs.
            self._write(running, self._store.end_stream(claim), partial(self._end, running, None))

    def _end(self, running: Running, outcome: Record | GatewayError | None) -> None:
        """The call is over: who comes from now on looks into the store."""
        running.stage = Stage.OVER
        running.leader = None
        if self._running.get(running.claim.scope) is running:
            del self._running[running.claim.scope]
        running.resolve(outcome)

    async def _owned(self, running: Running, work: Coroutine[None, None, T]) -> T:
        """What `work` returns. It goes on to its end though the request is cut: half a claim helps nobody."""
        found: list[T] = []
        failed: list[StoreUnavailable] = []

        async def run() -> None:
            try:
                found.append(await work)
            except StoreUnavailable as error:
                failed.append(error)

        await asyncio.shield(self._write(running, run()))
        if failed:
            raise failed[0]
        return found[0]

    def _write(
        self,
        running: Running,
        write: Coroutine[None, None, None],
        then: Callable[[], None] | None = None,
    ) -> asyncio.Task[None]:
        """Write in the background, after what was written before of the same call, and then call `then`."""
        task = asyncio.create_task(_in_turn(running.write, write, then))  # noqa: TID251 - owned here; `close` waits for it
        running.write = task
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task

    async def _tend(self) -> None:
        """Hold what still runs, and now and then delete what has expired."""
        claims = [
            running.claim
            for running in self._running.values()
            if running.stage in {Stage.RUNNING, Stage.STREAMING}
        ]
        try:
            if claims:
                await self._store.renew(claims, self._siblings.tag)
            if self._steps % SWEEP_STEPS == 1:
                await self._store.sweep()
        except StoreUnavailable:
            _log.warning("idempotency.not_renewed", claims=len(claims))
        self._steps += 1


async def _in_turn(
    before: "asyncio.Task[None] | None", write: Coroutine[None, None, None], then: Callable[[], None] | None
) -> None:
    try:
        if before is not None:
            await asyncio.wait((before,))
        await write
    except StoreUnavailable as error:
        # The answer is there all the same; only a repetition of the request will not know of it.
        _log.warning("idempotency.not_written", error=type(error.__cause__).__name__)
    finally:
        if then is not None:
            then()


def _claim_of(context: RequestContext, body: bytes) -> Claim:
    principal = context.principal
    key = parse_key(context.idempotency_key or b"")
    scope = scope_of(principal.key_id, principal.address, context.facts.path.rstrip("/"), key)
    return Claim(scope, body_hash_of(body), ids.new_id("idem"))


def _mismatch() -> IdempotencyMismatch:
    return IdempotencyMismatch(
        f"This {HEADER} was sent before with another body; send a new key with a new request.", param=HEADER
    )


def _conflict() -> IdempotencyConflict:
    return IdempotencyConflict(
        "The first request with this Idempotency-Key still runs elsewhere, and can't be reached; ask again shortly.",
        param=HEADER,
        retry_after_seconds=1,
    )
