"""Anything may happen to one key's requests, in any order and at any moment."""

import asyncio
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import IdempotencyMismatch, StoreUnavailable
from service.idempotency.service import IdempotencyService
from tests.fakes.idempotency import FakeSiblings, FakeStreams, MemoryIdempotencyStore
from tests.fakes.keyed import Call, Caller, Upstream
from tests.fakes.loops import JumpingLoop

Happening = (
    tuple[Literal["come"], bytes]
    | tuple[Literal["leave"], int]
    | tuple[Literal["answer"], int]
    | tuple[Literal["stream"], bool]
    | tuple[Literal["end"], bool]
    | tuple[Literal["away"], bool]
    | tuple[Literal["wait"], int]
)

HAPPENINGS = st.one_of(
    st.tuples(st.just("come"), st.sampled_from([b"a", b"a", b"a", b"b"])),
    st.tuples(st.just("leave"), st.integers(0, 9)),
    st.tuples(st.just("answer"), st.sampled_from([200, 200, 400, 429, 500])),
    st.tuples(st.just("stream"), st.booleans()),
    st.tuples(st.just("end"), st.booleans()),
    st.tuples(st.just("away"), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 6)),
)


class Machine:
    """One worker, one key, and all that ever asked."""

    def __init__(self) -> None:
        self.store = MemoryIdempotencyStore()
        self.streams = FakeStreams()
        self.upstream = Upstream(self.streams)
        self.service = IdempotencyService(self.store, FakeSiblings(alone=True), self.streams, 1000)
        self.callers: list[Caller] = []
        self.ever_away = False
        self.kept_after: int | None = None

    async def play(self, happenings: list[Happening]) -> None:
        """Let it all happen, then bring it to its end."""
        for happening in happenings:
            await self._happen(happening)
            self._check()
        self.store.away = False
        for _ in range(len(self.callers) + 1):
            await turns(60)
            self._check()
            if all(caller.left or caller.task.done() for caller in self.callers):
                assert self.upstream.running == 0
            for call in self.upstream.calls:
                _finish(call)
        await turns(60)
        await self.service.close()
        self._check_end()

    async def _happen(self, happening: Happening) -> None:
        match happening:
            case ("come", body):
                self.callers.append(Caller(self.service, self.upstream, body))
            case ("leave", number):
                for caller in self.callers[number : number + 1]:
                    caller.leave()
            case ("answer", status):
                for call in self._waiting():
                    call.answer(status)
            case ("stream", shared):
                for call in self._waiting():
                    call.stream(f"s{len(self.upstream.calls)}" if shared else "")
            case ("end", failed):
                for call in self._streaming():
                    call.end(failed=failed)
            case ("away", away):
                self.store.away = away
                self.ever_away = self.ever_away or away
            case ("wait", steps):
                await turns(steps)

    def _waiting(self) -> list[Call]:
        return [call for call in self.upstream.calls if not call.head.done() and not call.done]

    def _streaming(self) -> list[Call]:
        return [
            call for call in self.upstream.calls if call.stream_id and not call.over.done() and not call.done
        ]

    def _check(self) -> None:
        """Never two calls at once, and none once an answer was kept."""
        assert self.upstream.most <= 1
        if self.kept_after is None and any(row.record.answer for row in self.store.rows.values()):
            self.kept_after = len(self.upstream.calls)
        assert self.kept_after in {None, len(self.upstream.calls)} or self.ever_away

    def _check_end(self) -> None:
        """Each has what is due to it, and nothing is left behind."""
        for caller in self.callers:
            assert caller.task.done()
            if caller.left and (caller.cut or caller.task.cancelled() or not caller.sent):
                continue
            if caller.error is not None:
                assert isinstance(caller.error, IdempotencyMismatch | StoreUnavailable)
                assert self.ever_away or isinstance(caller.error, IdempotencyMismatch)
            elif caller.body and not caller.body.startswith(b"data:"):
                assert caller.body.endswith(b" of " + caller.request_body)
                assert caller.context.wanted is None
            else:
                assert caller.joined or caller.sent
        assert not self.service._running
        assert self.upstream.running == 0


def _finish(call: Call) -> None:
    if call.done:
        return
    if not call.head.done():
        call.answer()
    elif not call.over.done():
        call.end()


async def turns(count: int) -> None:
    """Let the loop go round so often."""
    for _ in range(count):
        await asyncio.sleep(0)


@settings(max_examples=400)
@given(st.lists(HAPPENINGS, max_size=25))
def test_each_request_gets_what_is_due(happenings: list[Happening]) -> None:
    """One call at a time, no answer to another body, nobody waits for ever, nothing is left."""

    async def run() -> None:
        await Machine().play(happenings)

    unheard: list[object] = []
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unheard.append(context))
        runner.run(run())
    assert not unheard
