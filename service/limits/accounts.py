"""What a worker keeps of one meter that lives in Redis: what it holds there, and what it has to tell.

No I/O and no clock. In Redis stands `granted`: what this worker's requests hold, what it has in advance
(`idle`), and, for budgets, what they have spent since it last told. Each step here leaves that sum as it
is or makes it smaller, so the meter can't be overdrawn by anything that happens between two exchanges.
"""

from itertools import islice
from math import ceil, inf

import msgspec

from service.limits import leases, rates
from service.limits.base import Kind, Level, Meter, Need, Used
from service.limits.rates import MICRO, UNUSED, Bucket
from service.limits.windows import DAY_SECONDS, Window
from service.limits.wire import Cell, Form, State, refund

MAX_CAPACITY = 9 * 10**15
"""Whole numbers up to 2^53 are exact in Lua: a budget of more than nine million dollars counts as that."""
SLICES_PER_SECOND = 4
"""What is spent is kept by quarters of a second, for a generation of counts begins at one of them."""
MAX_REFUNDS = 200
"""In one exchange; the rest goes with the next."""
Refunds = dict[tuple[int, int], tuple[int, int]]
"""(instant of the level, all refunded by then) -> (units unused, the level in micro-units)."""
PAST_WINDOW_SECONDS = 2 * DAY_SECONDS
NEVER_SECONDS = 400 * DAY_SECONDS

KINDS = (Kind.REQUESTS, Kind.TOKENS, Kind.CONCURRENCY, Kind.USD, Kind.BUDGET_TOKENS)
_USD, _BUDGET_TOKENS = 3, 4
Needs = tuple[int, int, int, int, int]
"""What a request needs of each of KINDS."""
Top = tuple[int, int, int]
"""A rate's level in micro-units, its instant, and all that had been refunded by then."""

_FORMS = {
    Kind.REQUESTS: Form.RATE,
    Kind.TOKENS: Form.RATE,
    Kind.CONCURRENCY: Form.SLOTS,
    Kind.USD: Form.BUDGET,
    Kind.BUDGET_TOKENS: Form.BUDGET,
}
_PREFIXES = {Form.RATE: "r", Form.SLOTS: "c", Form.BUDGET: "b"}


class Sent(msgspec.Struct, frozen=True, gc=False):
    """What an exchange told of one account; to be told again if it was not done."""

    used: int
    slices: dict[int, int]
    refunds: Refunds
    held: int
    idle: int


class Account:
    """One meter of one window. Amounts are the meter's units.

    idle: held in Redis for nobody yet. held: by this worker's requests. extended: the same, by those that
    asked for more, in a lane of its own. ended: what such requests held there, until what they spent is
    told. pledged: put by for demands that are on their way. used: to be told; for budgets it is `slices`,
    by quarters of a second of `finished_at`, and `used` their sum. told: on its way. spent, bucket, others:
    as Redis said last. seed: the ledger's sum of what finished before `cutoff`, to be told; -1 for none.
    """

    __slots__ = (
        "bucket", "capacity", "counted", "cutoff", "dirty", "end", "ended", "extended", "form", "held", "idle", "index", "is_rate", "key", "kind", "meter", "others",
        "pace", "per_minute", "pieces", "pledged", "recalled", "refunds", "seed", "slices", "spent", "start",
        "taken", "told", "touched_us", "until", "used",
    )  # fmt: skip

    def __init__(self, meter: Meter, window: Window | None) -> None:
        self.form = _FORMS[meter.kind]
        self.start = window.start if window else 0
        self.end = inf if window is None or window.end is None else window.end
        name = f"{_PREFIXES[self.form]}:{meter.name}"
        self.key = f"{name}:{self.start}" if window else name
        self.kind = meter.kind
        self.is_rate = self.form is Form.RATE
        self.index = KINDS.index(meter.kind)
        self.idle = self.held = self.extended = self.ended = self.pledged = self.used = self.told = 0
        self.slices: dict[int, int] = {}
        self.refunds: Refunds = {}
        self.bucket = UNUSED
        self.spent = self.others = 0
        self.counted = False
        self.cutoff = 0.0
        self.seed = -1
        self.taken = self.pieces = self.pace = 0
        self.recalled = False
        self.dirty = False
        self.touched_us = 0
        self.until = 0.0
        self.meter = meter
        self.capacity = min(meter.capacity, MAX_CAPACITY)
        self.per_minute = meter.per_minute

    def serve(self, meter: Meter) -> None:
        """From now on the limit has this size; what was had in advance under another one is given back."""
        if meter.capacity != self.meter.capacity or meter.per_minute != self.per_minute:
            self.idle = 0
        self.meter = meter
        self.capacity = min(meter.capacity, MAX_CAPACITY)
        self.per_minute = meter.per_minute

    def asked(self, needs: Needs) -> int:
        """What a request takes from it: a rate gives at most its capacity."""
        amount = needs[self.index]
        return self.capacity if self.is_rate and amount > self.capacity else amount

    def take(self, amount: int) -> None:
        """Of what is idle, for one request."""
        self.idle -= amount
        self.taken += amount
        self.pieces += 1
        if self.is_rate:
            self.used += amount
        else:
            self.held += amount

    def pledge(self, amount: int) -> int:
        """Put by what there is, up to `amount`, for a demand; the rest is to be asked for."""
        part = min(max(self.idle, 0), amount)
        self.idle -= part
        self.pledged += part
        return part

    def unpledge(self, part: int) -> None:
        """The demand came to nothing."""
        self.pledged -= part
        self.idle += part

    def receive(self, part: int, asked: int) -> None:
        """The demand was granted: what was pledged, and what Redis added."""
        self.pledged -= part
        self.taken += part + asked
        self.pieces += 1
        if self.is_rate:
            # Redis counted what was asked there as used already.
            self.used += part
        else:
            self.held += part + asked

    def release(self, amount: int, used: int, *, leased: bool) -> None:
        """A request let go of `amount` after it spent `used` of it. leased: Redis knows that it was held."""
        self.held -= amount
        if leased:
            self.idle += max(amount - used, 0)

    def spent_of(self, used: Used) -> int:
        """What a request has spent of it: nothing of slots."""
        if self.index == _USD:
            return used.nano_usd
        return used.tokens if self.index == _BUDGET_TOKENS else 0

    def spend(self, amount: int, finished_at: float) -> None:
        """To be told: spent by a request that ended then."""
        self.until = max(self.until, finished_at)
        piece = int(finished_at * SLICES_PER_SECOND)
        self.slices[piece] = self.slices.get(piece, 0) + amount
        self.used += amount

    def top(self) -> Top:
        """The level right after what was taken last, and no higher than it truly is."""
        return (
            self.bucket.level_micro + (self.used + self.told) * MICRO,
            self.bucket.at_us,
            self.bucket.refunded_micro,
        )

    def correct(self, reserved: int, used: int, top: Top) -> None:
        """A rate's reservation was found to be this large. top: what `top` said when it was taken."""
        if used > reserved:
            self.used += used - reserved
        elif used < reserved:
            level, at_us, gone = top
            self._refund((at_us, gone), reserved - used, level)

    def _refund(self, since: tuple[int, int], unused: int, level: int) -> None:
        # Several of one tick are told as one, as if all had been taken at the lowest level of theirs: that
        # never gives back more than one after the other would.
        known = self.refunds.get(since)
        self.refunds[since] = (unused + known[0], min(level, known[1])) if known else (unused, level)

    def plan(self, ticks_ahead: int) -> tuple[int, int]:
        """At a tick: give back what need not lie idle; (how much more to want, the least of use)."""
        made = leases.plan(
            idle=self.idle,
            taken=self.taken,
            pieces=self.pieces,
            pace=self.pace,
            recalled=self.recalled,
            ticks_ahead=min(ticks_ahead, 1) if self.form is Form.SLOTS else ticks_ahead,
        )
        self.taken = self.pieces = 0
        self.pace = made.pace
        self.idle = made.keep
        return made.want, made.piece

    def tell(self, now: float, want: int = 0, piece: int = 0) -> tuple[Cell, Sent]:
        """What to say in an exchange, and what to remember until it is answered. now: Unix seconds."""
        self.idle = max(self.idle, 0)
        idle = self.idle + self.pledged
        used, slices = self.used, self.slices
        refunds = dict(islice(self.refunds.items(), MAX_REFUNDS))
        self.told, self.used = used, 0
        self.slices = {}
        for each in refunds:
            del self.refunds[each]
        told = [refund(unused, level, at_us, gone) for (at_us, gone), (unused, level) in refunds.items()]
        cell = Cell(
            self.key, self.form, self.capacity, self.per_minute, self._expires_at(now),
            ceil(self.meter.alert_at * self.capacity), idle + self.held, idle, used, told, want, piece, self.seed, self.until,
        )  # fmt: skip
        return cell, Sent(used, slices, refunds, idle + self.held, idle)

    def tell_extended(self, meter: Meter, now: float) -> Cell:
        """What is held in the lane of extensions. meter: the limit under which it was asked for."""
        return Cell(
            self.key, self.form, min(meter.capacity, MAX_CAPACITY), self.per_minute, self._expires_at(now),
            ceil(meter.alert_at * meter.capacity), self.extended + self.ended, 0, 0, [], 0, 0, -1,
        )  # fmt: skip

    def shrink(self, amount: int) -> None:
        """A request that held so much in the lane of extensions has ended."""
        self.extended -= amount
        self.ended += amount

    @property
    def all_told(self) -> bool:
        """Whether Redis has heard of all that was spent."""
        return not self.used and not self.told

    def _expires_at(self, now: float) -> int:
        return int(now + NEVER_SECONDS) if self.end == inf else int(self.end) + PAST_WINDOW_SECONDS

    def drop_before(self, cutoff_slice: int) -> None:
        """What was spent earlier is in the ledger's sum with which Redis begins anew."""
        self.slices = {at: amount for at, amount in self.slices.items() if at >= cutoff_slice}
        if self.form is Form.BUDGET:
            self.used = sum(self.slices.values())
        self.refunds.clear()

    def told_in_vain(self, sent: Sent) -> None:
        """The exchange was not done: what it told is to be told again."""
        self.told = 0
        for since, (unused, level) in sent.refunds.items():
            self._refund(since, unused, level)
        if self.form is Form.BUDGET:
            for piece, amount in sent.slices.items():
                self.slices[piece] = self.slices.get(piece, 0) + amount
            self.used = sum(self.slices.values())
        else:
            self.used += sent.used

    def hear(self, state: State) -> None:
        """What Redis says of the meter after an exchange."""
        self.told = 0
        self.recalled = state.recalled
        self.others = state.others
        self.spent = state.spent
        if self.is_rate:
            self.bucket = Bucket(
                state.spent * MICRO + state.micro, state.at_us, state.gone_units * MICRO + state.gone_micro
            )
        else:
            self.counted = True
            self.cutoff = state.cutoff_slice / SLICES_PER_SECOND
        self.idle += state.gain

    def forget(self) -> None:
        """Redis gave away what this worker held, or lost it: nothing is idle, and no count is known."""
        self.idle = 0
        self.seed = -1
        self.counted = False

    def unneeded(self) -> bool:
        """Whether nothing is held here and nothing is left to tell."""
        busy = (
            self.held
            or self.extended
            or self.ended
            or self.idle
            or self.pledged
            or self.used
            or self.told
            or self.refunds
            or self.dirty
        )
        return not busy

    def remaining(self) -> int:
        """Of a budget or of slots, as far as is known here."""
        return max(
            0, self.capacity - self.spent - self.told - self.used - self.others - self.held - self.pledged
        )

    def estimate(self) -> Bucket:
        """A rate's level as Redis knew it last, with what was used here since."""
        since = (self.used + self.told) * MICRO
        return Bucket(self.bucket.level_micro + since, self.bucket.at_us) if since else self.bucket

    def level(self, now_us: int, now: float) -> Level:
        """now_us: on the server's clock. now: Unix seconds, for windows' ends."""
        if self.is_rate:
            # As service.limits.rates does it, in one go: this is asked for every request.
            bucket = self.bucket
            micro = bucket.level_micro + (self.used + self.told) * MICRO
            full = max(0, micro - rates.drained_micro(now_us - bucket.at_us, self.per_minute))
            return Level(
                meter=self.meter,
                remaining=max(0, self.capacity * MICRO - full) // MICRO,
                reset_seconds=max(0, bucket.at_us + -(-micro * 60 // self.per_minute) - now_us) / MICRO
                if micro
                else 0.0,
            )
        ends = None if self.end == inf else self.end - now
        return Level(meter=self.meter, remaining=self.remaining(), reset_seconds=ends)

    def wait_seconds(self, amount: int, now_us: int, now: float) -> float:
        """How long a refused request waits; inf: in vain."""
        if self.form is Form.SLOTS:
            return 1.0
        if self.form is Form.BUDGET:
            return self.end - now
        answer = rates.take(self.estimate(), now_us, amount, self.capacity, self.per_minute)
        # The level alone would let it pass: other workers hold the rest in advance, and let go of it soon.
        return answer.wait_us / MICRO if isinstance(answer, rates.Short) else 0.1


def needs_of(need: Need) -> Needs:
    """In the order of KINDS."""
    return need.requests, need.tokens, 1, need.nano_usd, need.budget_tokens
