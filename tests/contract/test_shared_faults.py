"""Several workers, one server, and a network that loses what it likes: never over a limit, nothing lost.

Time is virtual, so pauses and ticks cost none; the scripts run in a real server all the same.
"""

import asyncio
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.config.settings import LimitSettings
from service.errors import StoreUnavailable
from service.limits.base import Kind, Meter, Need, Refusal, Reservation, Used
from service.limits.link import LinkDown
from service.limits.redis import RedisLink
from service.limits.shared import SharedLimitStore
from service.limits.wire import EXTENSIONS
from tests.contract.homes import BEGAN_AT
from tests.contract.limit_steps import budget, meter
from tests.fakes.ledger_sums import LedgerSums, SummedRow
from tests.fakes.loops import JumpingLoop, virtual_time
from tests.fakes.redis_server import shared_server

WORKERS = 3
CAPACITY = 400
TOTAL = budget(CAPACITY, "total")
SLOTS = meter(Kind.CONCURRENCY, 24)
TOKENS = meter(Kind.TOKENS, 900, per_minute=600)
METERS = (TOTAL, SLOTS, TOKENS)
LASTS_SECONDS = 3600

# So that nobody's unrelated change meets a course that nobody had seen. Whoever changes the store runs other
# ones by hand: derandomize=False, max_examples=1000, which takes some 20 seconds a test.
same_courses_each_time = settings(max_examples=100, derandomize=True, suppress_health_check=list(HealthCheck))

FAULTS = ("fine", "fine", "fine", "not_sent", "answer_lost", "late")


def _time_us() -> int:
    return int((BEGAN_AT + asyncio.get_running_loop().time()) * 1_000_000)


class FaultyLink:
    """A `service.limits.link.Link` whose calls go as `faults` says.

    late: the command is done after the next one that arrives.
    """

    def __init__(self, url: str, faults: Iterator[str]) -> None:
        # Only the faults go wrong: a busy machine's pauses are none of them.
        self._link = RedisLink(url, blocking_seconds=10.0, server_now_us=_time_us)
        self._faults = faults
        self._late: list[tuple[str, bytes]] = []

    async def call(self, script: str, payload: bytes) -> bytes:
        """With a moment for others before and after."""
        await asyncio.sleep(0.0002)
        answer = self.call_now(script, payload)
        await asyncio.sleep(0.0002)
        return answer

    def call_now(self, script: str, payload: bytes) -> bytes:
        """At once."""
        fault, late = next(self._faults, "fine"), self._late
        if fault == "not_sent":
            raise LinkDown(fault)
        if fault == "late":
            late.append((script, payload))
            raise LinkDown(fault)
        answer = self._link.call_now(script, payload)
        self._late = []
        for delayed in late:
            self._link.call_now(*delayed)
        if fault == "answer_lost":
            raise LinkDown(fault)
        return answer

    async def close(self) -> None:
        """The real one."""
        await self._link.close()


class Course:
    """What happens, and the sums that must hold.

    buried: a worker was taken for dead, so what it held was another's, and only the end is exact.
    """

    def __init__(self, stores: list[SharedLimitStore], ledger: LedgerSums) -> None:
        self._stores = stores
        self._ledger = ledger
        self.running: list[tuple[SharedLimitStore, Reservation, int]] = []
        self.spent = 0
        self.buried = False

    async def reserve(self, number: int, amount: int) -> None:
        """One request."""
        store = self._stores[number]
        try:
            answer = await store.reserve(
                METERS,
                Need(nano_usd=amount, tokens=amount),
                id="r",
                started_at=BEGAN_AT,
                lasts_seconds=LASTS_SECONDS,
            )
        except StoreUnavailable:
            return
        if not isinstance(answer, Refusal):
            self.running.append((store, answer, amount))
        self.check()

    async def burst(self, number: int, amount: int) -> None:
        """Several at once, most of which end soon: there will be a lease."""
        before = len(self.running)
        await asyncio.gather(*(self.reserve(number, max(1, amount // 16)) for _ in range(6)))
        while len(self.running) > before + 1:
            self.settle(-1)

    async def extend(self, number: int, amount: int) -> None:
        """A running one wants more."""
        if self.running:
            store, reservation, held = self.running.pop(0)
            more = store.extend(reservation, nano_usd=amount, tokens=0)
            self.running.append((store, reservation, held + amount * more))
            self.check()

    async def end(self, number: int, amount: int) -> None:
        """A running one ends."""
        if self.running:
            self.settle(amount % len(self.running))

    async def wait(self, number: int, amount: int) -> None:
        """Up to some ticks, or to a pause of the breaker."""
        await asyncio.sleep(amount / 200)

    async def empty(self, number: int, amount: int) -> None:
        """The server loses all it has; workers have a moment to notice, or none."""
        shared_server().empty()
        await asyncio.sleep(amount % 3)

    async def bury(self, number: int, amount: int) -> None:
        """A worker is not heard of for longer than it counts as alive; its requests go on, and some end."""
        work = self._stores[number]._work
        assert work is not None
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        self.buried = True
        await asyncio.sleep(12)
        for _ in range(min(amount % 3, len(self.running))):
            self.settle(0)
        self._stores[number]._work = asyncio.ensure_future(self._stores[number]._courier.run())

    def settle(self, place: int) -> None:
        """With a third of what it holds."""
        store, reservation, held = self.running.pop(place)
        self.spent += held // 3
        finished_at = BEGAN_AT + asyncio.get_running_loop().time()
        self._ledger.rows.append(
            SummedRow(
                subject=TOTAL.subject,
                subject_id=TOTAL.subject_id,
                started_at=BEGAN_AT,
                finished_at=finished_at,
                nano_usd=held // 3,
            )
        )
        store.settle(reservation, Used(nano_usd=held // 3, tokens=held // 3, finished_at=finished_at))
        self.check()

    def check(self) -> None:
        """At any time."""
        if self.buried:
            return
        assert self.spent + sum(held for _, _, held in self.running) <= CAPACITY
        assert len(self.running) <= SLOTS.capacity


STEPS = ["reserve", "reserve", "burst", "burst", "end", "extend", "extend", "wait"]


def courses(*more: str) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    """(what, which worker, how much)"""
    return st.lists(
        st.tuples(st.sampled_from([*STEPS, *more]), st.integers(0, WORKERS - 1), st.integers(1, 160)),
        max_size=25,
    )


async def _started(link: FaultyLink, number: int, ledger: LedgerSums) -> SharedLimitStore:
    store = SharedLimitStore(
        port=link,
        owner=f"worker-{number}",
        clock_us=lambda: int(asyncio.get_running_loop().time() * 1_000_000),
        now=lambda: BEGAN_AT + asyncio.get_running_loop().time(),
        spent=ledger,
        settings=LimitSettings(),
        on_alert=lambda meter, start, spent: None,
    )
    await store.start()
    return store


async def _follow(steps: list[tuple[str, int, int]], faults: list[str]) -> None:
    course, ledger = iter(faults), LedgerSums()
    # Joining goes well; what goes wrong then is the course's.
    hitches = [iter(["fine"] * 4), iter(["fine"] * 4), iter(["fine"] * 4)]
    stores = []
    for number in range(WORKERS):

        def faulty(number: int = number) -> Iterator[str]:
            yield from hitches[number]
            yield from course

        stores.append(await _started(FaultyLink(shared_server().url, faulty()), number, ledger))
    happens = Course(stores, ledger)
    for step, number, amount in steps:
        await getattr(happens, step)(number, amount)
    list(course)
    while happens.running:
        happens.settle(0)
    await asyncio.sleep(5)
    (left, slots, _) = await stores[0].levels(METERS, now=BEGAN_AT)
    assert (left.remaining, slots.remaining) == (CAPACITY - happens.spent, SLOTS.capacity)
    # Nobody holds anything any more, in whatever lane.
    need = Need(nano_usd=CAPACITY - happens.spent)
    rest = await stores[1].reserve((TOTAL,), need, id="r", started_at=BEGAN_AT, lasts_seconds=LASTS_SECONDS)
    assert not isinstance(rest, Refusal)
    for store in stores:
        await store.close()


def _run(steps: list[tuple[str, int, int]], faults: list[str]) -> None:
    shared_server().empty()
    with capture_logs() as logs, asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(_follow(steps, faults))
    assert not [line for line in logs if line["event"] == "limits.exchange_failed"]


@pytest.mark.timeout(300)
@same_courses_each_time
@given(steps=courses(), faults=st.lists(st.sampled_from(FAULTS), max_size=60))
# A stream that was extended ends, and before Redis hears what it spent another one is extended.
@example(
    steps=[
        ("reserve", 0, 1),
        ("extend", 0, 161),
        ("reserve", 0, 99),
        ("reserve", 0, 139),
        ("end", 0, 3),
        ("extend", 0, 158),
    ],
    faults=[],
)
def test_whatever_is_lost_or_late_no_limit_is_exceeded_and_every_nano_dollar_counts_once(
    steps: list[tuple[str, int, int]], faults: list[str]
) -> None:
    _run(steps, faults)


@pytest.mark.timeout(300)
@same_courses_each_time
@given(steps=courses("empty"))
def test_whatever_the_server_forgets_no_limit_is_exceeded_and_every_nano_dollar_counts_once(
    steps: list[tuple[str, int, int]],
) -> None:
    _run(steps, [])


@pytest.mark.timeout(300)
@same_courses_each_time
@given(steps=courses("bury", "bury"), faults=st.lists(st.sampled_from(FAULTS), max_size=20))
def test_whoever_is_taken_for_dead_in_the_end_every_nano_dollar_counts_once_and_nothing_is_held(
    steps: list[tuple[str, int, int]], faults: list[str]
) -> None:
    _run(steps, faults)


class OvertakenLink(FaultyLink):
    """Does what `overtakes` says before the next thing that its worker tells of extensions, once."""

    def __init__(self, url: str) -> None:
        super().__init__(url, iter(()))
        self.overtakes: Callable[[], bool] | None = None
        self.overtaken = False

    async def call(self, script: str, payload: bytes) -> bytes:
        """With a moment for others before and after."""
        if script == "exchange" and self.overtakes and EXTENSIONS in msgspec.msgpack.decode(payload)[:4]:
            overtakes, self.overtakes = self.overtakes, None
            self.overtaken = overtakes()
        return await super().call(script, payload)


@virtual_time
async def test_what_an_ended_stream_held_is_given_back_though_another_budgets_extension_came_first() -> None:
    """Redis does the later step first, and then takes the earlier one for stale."""
    shared_server().empty()
    link = OvertakenLink(shared_server().url)
    store = await _started(link, 0, LedgerSums())
    one, other = TOTAL, budget(CAPACITY, "day")

    async def extended(meter: Meter) -> Reservation:
        held = await store.reserve(
            (meter,), Need(nano_usd=1), id="r", started_at=BEGAN_AT, lasts_seconds=LASTS_SECONDS
        )
        assert not isinstance(held, Refusal)
        assert store.extend(held, nano_usd=100, tokens=0)
        return held

    ended, goes_on = await extended(one), await extended(other)
    link.overtakes = lambda: store.extend(goes_on, nano_usd=100, tokens=0)
    store.settle(ended, Used(finished_at=BEGAN_AT + asyncio.get_running_loop().time()))
    await asyncio.sleep(1)
    assert link.overtaken
    (level,) = await store.levels((one,), now=BEGAN_AT)
    assert level.remaining == CAPACITY
    await store.close()
