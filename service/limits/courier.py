"""The one task of a worker that speaks to Redis: brings demands, tells what was used, keeps leases filled.

One exchange is on its way at most, so whatever comes up meanwhile goes together with the next. Nobody
waits for a demand longer than the exchange before it and its own may take. What an exchange told is kept
until it is known whether it was done: after a failure the first word is a hello, whose answer says that.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from service.limits.accounts import SLICES_PER_SECOND, Account
from service.limits.base import Meter
from service.limits.breaker import Breaker
from service.limits.demands import Away, Demand, Part, Reply
from service.limits.extensions import Extensions, Grown
from service.limits.link import Link, LinkDown
from service.limits.outbox import Letter, Outbox
from service.limits.wire import (
    Exchange,
    Hello,
    Status,
    Verdict,
    decode_answer,
    decode_welcome,
    encode,
)

TICK_SECONDS = 0.05
"""While there is traffic. Others wait that long for what a worker gives back, and 20 exchanges a second
cost it some 0.3 % of a core."""
OWNER_SECONDS = 10.0
"""A worker that Redis hasn't heard of for as long is dead. Its rows are read from its journal when it, or a
sibling, starts again, which should be sooner."""
BEATS = 4
"""Signs of life in that time."""
FLUSH_SECONDS = 2.0
"""Until rows that other workers hold are in the ledger; they flush four times a second."""
FAILURES = 2
"""One may be a pause of this process; so demands are asked twice."""
PAUSE_SECONDS = 0.5
RETRY_SECONDS = 0.02
MICROSECONDS = 1_000_000

_log = structlog.get_logger()


class Courier:
    """Owns the link. `run` is its work, for as long as the store lives.

    accounts: all of the store's, by their keys. on_beat: called some times in OWNER_SECONDS.
    epoch: rises whenever Redis has lost sight of what this worker holds. generation: of counts, "" before
    the first word with Redis. lease_until_us: on this worker's clock; what is idle may be used until then.
    """

    def __init__(
        self,
        link: Link,
        *,
        owner: str,
        clock_us: Callable[[], int],
        now: Callable[[], float],
        accounts: dict[str, Account],
        on_alert: Callable[[Meter, float, int], None],
        on_beat: Callable[[], None],
        owner_seconds: float,
        lag_seconds: float,
        flush_seconds: float,
        ticks_ahead: int,
    ) -> None:
        self._link = link
        self._owner = owner
        self._clock_us = clock_us
        self._now = now
        self._accounts = accounts
        self._on_alert = on_alert
        self._on_beat = on_beat
        self._lasts_us = int(owner_seconds * MICROSECONDS)
        self._lag_us = int(lag_seconds * MICROSECONDS)
        self._flush_us = int(flush_seconds * MICROSECONDS)
        # Above those of an earlier start under the same name.
        self._sequence = int(now() * MICROSECONDS)
        self._extensions = Extensions(link, owner, self._lasts_us, now, self._sequence)
        self._outbox = Outbox(ticks_ahead)
        self._breaker = Breaker(failures=FAILURES, pause_us=int(PAUSE_SECONDS * MICROSECONDS))
        self._queue: deque[Demand] = deque()
        self._uncertain: list[Letter] = []
        self._woken = asyncio.Event()
        self._tried = asyncio.Event()
        self._due = self._ticking = self._retrying = self._leaving = self._joined = False
        self._beating: asyncio.TimerHandle | None = None
        self._cutoff_slice = 0
        self._opens_at_us = 0
        self._server_ahead_us = 0
        self.generation = ""
        self.workers = 1
        self.epoch = 0
        self.lease_until_us = 0

    # What the store asks and says

    @property
    def away(self) -> bool:
        """Whether Redis counts as gone."""
        return not self._breaker.closed

    @property
    def cutoff(self) -> float:
        """Unix seconds: what finished before the generation's counts began is in the ledger."""
        return self._cutoff_slice / SLICES_PER_SECOND

    def opens_in_seconds(self) -> float:
        """Until budgets may be counted anew, after Redis has lost them; 0: now."""
        return max(0, self._opens_at_us - self._clock_us()) / MICROSECONDS

    def server_now_us(self) -> int:
        """The server's clock, no earlier than it is."""
        return self._clock_us() + self._server_ahead_us

    def state(self) -> str:
        """The breaker's."""
        return self._breaker.state.value

    def touch(self, account: Account) -> None:
        """There is something to tell of it at the next tick."""
        if not account.dirty:
            account.dirty = True
            self._outbox.dirty.append(account)
            if not self._ticking:
                self._ticking = True
                asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def book(self, account: Account, owner: str, finished_at: float, amount: int) -> None:
        """Tell of an amount without a reservation, unless that owner has."""
        self._outbox.book((account, owner, finished_at, amount))
        self.touch(account)

    def extend(self, grown: Grown) -> bool:
        """Hold more of these for a running stream, or nothing. Doesn't wait, but holds up the loop meanwhile."""
        extended = self._joined and self._extensions.extend(grown, self.generation, self._clock_us())
        if not extended:
            self._tick()
        return extended

    def shrink(self, account: Account, amount: int) -> None:
        """What `extend` held is let go of, once what was spent of it is told."""
        self._extensions.shrink(account, amount)
        self.touch(account)

    async def submit(self, parts: list[Part], *, look: bool = False) -> Reply:
        """What became of the demand. look: take nothing, just hear where the accounts stand."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        demand = Demand(parts, reply, look=look)
        self._queue.append(demand)
        self._woken.set()
        try:
            return await reply
        except asyncio.CancelledError:
            if reply.done() and not reply.cancelled() and reply.result().verdict is Verdict.TAKEN:
                demand.undo(reply.result())
            raise

    async def flush(self) -> None:
        """Until all that was to be told by now is told, or Redis is away."""
        while not self.away and self._joined:
            self._tick()
            await self.submit([], look=True)
            if self._outbox.empty and not self._extensions.changed:
                return

    # The work

    async def tried(self) -> None:
        """Wait until the first attempt to reach Redis is over."""
        await self._tried.wait()

    async def run(self) -> None:
        """Until cancelled."""
        self._woken.set()
        self._beat()
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                await self._round()
                self._tried.set()
        finally:
            assert self._beating is not None
            self._beating.cancel()

    async def leave(self) -> None:
        """Give everything back, tell all there is to tell, once `run` has ended. Raises LinkDown."""
        self._leaving = True
        for account in self._accounts.values():
            account.idle = 0
            self.touch(account)
        self._due = True
        if not self.away:
            await self._talk()

    def _beat(self) -> None:
        seconds = self._lasts_us / MICROSECONDS / BEATS
        self._beating = asyncio.get_running_loop().call_later(seconds, self._beat)
        self._on_beat()
        self._tick()

    def _tick(self) -> None:
        self._ticking = False
        self._due = True
        self._woken.set()

    async def _round(self) -> None:
        if not self._breaker.allows(self._clock_us()):
            self._turn_away()
            self._retry(RETRY_SECONDS)
            return
        try:
            await self._talk()
        except LinkDown as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - logged with its stack
            # A mistake of ours must not end the one task that everything waits for.
            _log.exception("limits.exchange_failed")
            self._fail(type(error).__name__)
        else:
            if self._breaker.succeeded():
                _log.warning("limits.redis_back", generation=self.generation, workers=self.workers)

    async def _talk(self) -> None:
        strange = 0
        while strange <= FAILURES:
            if not self._joined:
                await self._join()
            if self._queue or self._due:
                done = await self._exchange()
            elif ripe := self._extensions.ripe():
                done = self._joined = await self._extensions.tell(ripe, self.generation)
            else:
                return
            strange += not done
        raise LinkDown("refused")

    def _fail(self, reason: str) -> None:
        self._joined = False
        self.lease_until_us = 0
        if self._breaker.failed(self._clock_us()):
            _log.warning("limits.redis_away", reason=reason)
        if self._breaker.closed:
            self._woken.set()
        else:
            self._turn_away()
            self._retry(PAUSE_SECONDS)

    def _retry(self, seconds: float) -> None:
        if not self._retrying:
            self._retrying = True
            asyncio.get_running_loop().call_later(seconds, self._again)

    def _again(self) -> None:
        self._retrying = False
        self._woken.set()

    def _turn_away(self) -> None:
        while self._queue:
            self._queue.popleft().answer(Reply(Away.AWAY))

    async def _join(self) -> None:
        self._sequence += 1
        sent_us = self._clock_us()
        hello = Hello(
            self._owner, not self.generation, self._sequence, self._lasts_us, self._lag_us, self._flush_us
        )
        welcome = decode_welcome(await self._link.call("hello", encode(hello)))
        if not welcome.generation:
            raise LinkDown("late")
        anew = welcome.generation != self.generation
        for letter in self._uncertain:
            self._conclude(letter, done=not anew and letter.sequence <= welcome.done)
        self._uncertain.clear()
        self.generation = welcome.generation
        self._cutoff_slice = welcome.cutoff_us * SLICES_PER_SECOND // MICROSECONDS
        self._opens_at_us = self._clock_us() + welcome.opens_us - welcome.now_us
        self._server_ahead_us = welcome.now_us - sent_us
        if anew or not welcome.known:
            self._lose(anew=anew)
        self._joined = True

    def _lose(self, *, anew: bool) -> None:
        """Whatever was idle is someone else's; what requests hold is told as if it were granted."""
        self.epoch += 1
        for demand in self._queue:
            demand.repledge()
        for account in self._accounts.values():
            account.forget()
            if anew:
                account.drop_before(self._cutoff_slice)
            if account.extended:
                self._extensions.changed.add(account)
            self.touch(account)
        self._due = True

    def _conclude(self, letter: Letter, *, done: bool) -> None:
        self._outbox.conclude(letter, done=done)
        for account in letter.accounts:
            self.touch(account)

    async def _exchange(self) -> bool:
        """One step. False: Redis doesn't know this worker, or not its generation, and nothing was done."""
        self._sequence += 1
        sent_us, due = self._clock_us(), self._due
        letter = self._outbox.pack(self._sequence, self._queue, self._now(), ripe=due, leaving=self._leaving)
        self._due = due and bool(self._outbox.dirty)
        try:
            answer = decode_answer(await self._link.call("exchange", encode(self._words(letter))))
        except BaseException:
            self._joined = False
            self._uncertain.append(letter)
            self._queue.extendleft(reversed(letter.demands))
            raise
        if answer.status != Status.OK:
            self._conclude(letter, done=False)
            self._queue.extendleft(reversed(letter.demands))
            self._joined, self._due = False, True
            return False
        self._server_ahead_us = answer.now_us - sent_us
        self.workers = max(1, answer.workers)
        # Counted from when it was sent: Redis counts from a later moment.
        self.lease_until_us = sent_us + self._lasts_us * 3 // 4
        for account in self._outbox.hear(letter, answer, self._on_alert):
            account.touched_us = sent_us
            self.touch(account)
            # Somebody waits for what lies idle here.
            self._due = self._due or (account.recalled and account.idle > 0)
        return True

    def _words(self, letter: Letter) -> Exchange:
        last = self._leaving and not self._due
        return Exchange(
            self.generation, self._owner, "", letter.sequence, self._lasts_us, last,
            letter.cells, letter.asks, self._outbox.bookings(letter, self.cutoff),
        )  # fmt: skip
