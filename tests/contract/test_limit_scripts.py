"""The scripts in Redis against the pure arithmetic, which is their oracle."""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.limits import rates
from service.limits.rates import MICRO, UNUSED, Bucket, Short
from service.limits.redis import RedisLink
from service.limits.wire import (
    EXTENSIONS,
    Answer,
    Booking,
    Cell,
    Exchange,
    Form,
    Hello,
    Refund,
    Status,
    Verdict,
    Welcome,
    decode_answer,
    decode_welcome,
    encode,
    refund,
)
from tests.fakes.redis_server import shared_server

BEGAN_US = 1_784_030_400_000_000
LASTS_US = 10_000_000
MINUTE_US = 60_000_000
MAX_PER_MINUTE = 10**12

_names = count()


class Talk:
    """One worker's words with the scripts, and the server's clock."""

    def __init__(self, url: str) -> None:
        self.now_us = BEGAN_US
        self._link = RedisLink(url, server_now_us=lambda: self.now_us)
        self._sequence = 0
        self.generation = ""

    def hello(self, owner: str = "w", *, new: bool = True, sequence: int | None = None) -> Welcome:
        """Join. sequence: None for the next."""
        self._sequence += 1
        words = Hello(owner, new, sequence or self._sequence, LASTS_US, 0, 0)
        welcome = decode_welcome(self._link.call_now("hello", encode(words)))
        self.generation = welcome.generation or self.generation
        return welcome

    def tell(
        self,
        *cells: Cell,
        demands: tuple[list[int], ...] = (),
        bookings: tuple[Booking, ...] = (),
        owner: str = "w",
        lane: str = "",
        sequence: int | None = None,
        generation: str | None = None,
    ) -> Answer:
        """One exchange. sequence: None for the next."""
        self._sequence += 1
        words = Exchange(
            self.generation if generation is None else generation,
            owner, lane, sequence or self._sequence, LASTS_US, False,
            list(cells), list(demands), list(bookings),
        )  # fmt: skip
        return decode_answer(self._link.call_now("exchange", encode(words)))


@pytest.fixture
def talk() -> Iterator[Talk]:
    """With an empty server."""
    shared_server().empty()
    found = Talk(shared_server().url)
    found.hello()
    yield found
    found._link._drop_blocking()


def rate(
    key: str, capacity: int, per_minute: int, used: int = 0, refunds: tuple[Refund, ...] = (), want: int = 0
) -> Cell:
    """Of one of these. used: told now."""
    return Cell(key, Form.RATE, capacity, per_minute, 0, 0, 0, 0, used, list(refunds), want, 1, -1)


def cell(
    key: str,
    form: Form,
    capacity: int,
    *,
    granted: int = 0,
    idle: int = 0,
    used: int = 0,
    want: int = 0,
    piece: int = 1,
    seed: int = -1,
    until: float = 0.0,
) -> Cell:
    """A budget or slots."""
    expires_at = BEGAN_US // MICRO + 86_400
    return Cell(
        key,
        form,
        capacity,
        0,
        expires_at,
        capacity * 8 // 10,
        granted,
        idle,
        used,
        [],
        want,
        piece,
        seed,
        until,
    )


def bucket_of(answer: Answer) -> Bucket:
    """The rate's state as the oracle has it."""
    (state,) = answer.cells
    return Bucket(state.spent * MICRO + state.micro, state.at_us, state.gone_units * MICRO + state.gone_micro)


sizes = st.one_of(st.integers(1, 300), st.integers(1, MAX_PER_MINUTE))
waits = st.one_of(
    st.integers(-2_000_000, 5_000_000), st.integers(0, 5 * MINUTE_US), st.integers(0, 40 * 86_400 * MICRO)
)
# (wait, units asked, units used by an earlier reservation)
steps = st.lists(st.tuples(waits, sizes, st.none() | sizes), min_size=1, max_size=12)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(capacity=sizes, per_minute=sizes, course=steps)
def test_a_rate_is_the_pure_one_to_the_micro_unit(
    talk: Talk, capacity: int, per_minute: int, course: list[tuple[int, int, int | None]]
) -> None:
    """Whatever is taken, refunded and owed, and however the clock goes, also far beyond 2^53 micro-units."""
    key, bucket = f"r:{next(_names)}", UNUSED
    # A state that nobody has asked for yet is as good as one from the start of time.
    taken: list[tuple[int, Bucket]] = []
    for wait_us, units, used in course:
        talk.now_us = max(BEGAN_US, talk.now_us + wait_us)
        talk.hello(new=False)
        asked = rates.reserved_units(units, capacity)
        expected = rates.take(bucket, talk.now_us, units, capacity, per_minute)
        answer = talk.tell(rate(key, capacity, per_minute), demands=([1, asked],))
        ((verdict, details),) = answer.verdicts
        assert (verdict == Verdict.TAKEN) == isinstance(expected, Bucket)
        if isinstance(expected, Bucket):
            bucket = expected
            ((top_units, top_micro),) = details  # type: ignore[misc]  # of one rate that was taken
            assert top_units * MICRO + top_micro == rates.level_micro(bucket, talk.now_us, per_minute)
            taken.append((asked, bucket))
        assert bucket_of(answer) == bucket
        if used is not None and taken:
            reserved, top = taken.pop(len(taken) // 2)
            bucket = rates.settle(bucket, top, talk.now_us, reserved, used, per_minute)
            told = rate(key, capacity, per_minute, used=max(0, used - reserved))
            if used < reserved:
                back = refund(reserved - used, top.level_micro, top.at_us, top.refunded_micro)
                told = rate(key, capacity, per_minute, refunds=(back,))
            assert bucket_of(talk.tell(told)) == bucket


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(capacity=sizes, per_minute=sizes, units=sizes, wait_us=st.integers(0, MINUTE_US))
def test_who_waits_as_long_as_the_pure_one_says_passes_and_a_microsecond_less_does_not(
    talk: Talk, capacity: int, per_minute: int, units: int, wait_us: int
) -> None:
    key = f"r:{next(_names)}"
    full = talk.tell(rate(key, capacity, per_minute), demands=([1, capacity],))
    talk.now_us += wait_us
    short = rates.take(bucket_of(full), talk.now_us, units, capacity, per_minute)
    # Beyond that, in the year 2255, Lua's numbers are coarser than a microsecond.
    if not isinstance(short, Short) or talk.now_us + short.wait_us >= 2**53:
        return
    for early_us, verdict in ((1, Verdict.REFUSED), (0, Verdict.TAKEN)):
        at_us, talk.now_us = talk.now_us, talk.now_us + short.wait_us - early_us
        talk.hello(new=False)
        asked = rates.reserved_units(units, capacity)
        assert talk.tell(rate(key, capacity, per_minute), demands=([1, asked],)).verdicts[0][0] == verdict
        talk.now_us = at_us


holds = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 80), st.integers(0, 40)), min_size=1, max_size=15
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scale=st.sampled_from([1, 9 * 10**13]), course=holds)
def test_whatever_is_leased_asked_and_spent_a_budget_is_never_exceeded(
    talk: Talk, scale: int, course: list[tuple[int, int, int]]
) -> None:
    """A step asks, wants in advance, and spends part of what it holds. Up to nine million dollars."""
    key, capacity = f"b:{next(_names)}", 100 * scale
    talk.tell(cell(key, Form.BUDGET, capacity, seed=0))
    granted = spent = 0
    for ask, want, use in course:
        used = min(use * scale, granted)
        granted, spent = granted - used, spent + used
        told = cell(key, Form.BUDGET, capacity, granted=granted, used=used, want=want * scale)
        answer = talk.tell(told, demands=([1, ask * scale],))
        fits = spent + granted + ask * scale <= capacity
        assert answer.verdicts[0][0] == (Verdict.TAKEN if fits else Verdict.REFUSED)
        granted += ask * scale if fits else 0
        gain = answer.cells[0].gain
        assert gain <= min(want * scale, (capacity - spent - granted) // 8)
        granted += gain
        assert answer.cells[0].spent == spent
        assert spent + granted <= capacity


def test_all_that_a_demand_asks_is_taken_or_nothing_is(talk: Talk) -> None:
    meters = (rate("r:x", 5, 5), cell("c:x", Form.SLOTS, 2), cell("b:x", Form.BUDGET, 100, seed=0))
    answer = talk.tell(*meters, demands=([1, 1, 2, 1, 3, 101], [1, 1, 2, 1, 3, 100]))
    assert [verdict for verdict, _ in answer.verdicts] == [Verdict.REFUSED, Verdict.TAKEN]
    assert answer.verdicts[0][1] == [3]
    assert answer.cells[0].spent == 1


def test_a_step_is_done_once_and_an_older_one_never_after_it(talk: Talk) -> None:
    spends = cell("b:x", Form.BUDGET, 100, used=10, seed=0)
    assert talk.tell(spends, sequence=70).status == Status.OK
    assert talk.tell(spends, sequence=70).status == Status.STALE
    assert talk.tell(spends, sequence=69).status == Status.STALE
    assert talk.tell(cell("b:x", Form.BUDGET, 100), sequence=71).cells[0].spent == 10


def test_after_a_hello_what_was_sent_before_it_is_not_done_any_more(talk: Talk) -> None:
    assert talk.hello(new=False, sequence=50).done == 0
    assert talk.tell(cell("b:x", Form.BUDGET, 100, used=10), sequence=49).status == Status.STALE
    assert talk.hello(new=False, sequence=50).generation == ""


def test_who_was_not_heard_of_is_a_stranger_and_what_it_held_is_free(talk: Talk) -> None:
    """What it had in advance of a rate it may have used: that counts as used."""
    held = cell("b:x", Form.BUDGET, 100, granted=60, seed=0)
    talk.tell(held, cell("c:x", Form.SLOTS, 2, granted=2), rate("r:x", 1000, 1, want=100))
    talk.tell(cell("b:x", Form.BUDGET, 100, granted=30), lane=EXTENSIONS)
    assert talk.tell(held, demands=([1, 11], [1, 10])).verdicts[0][0] == Verdict.REFUSED
    talk.hello("other")
    seen = (cell("b:x", Form.BUDGET, 100), cell("c:x", Form.SLOTS, 2), rate("r:x", 1000, 1))
    for _ in range(4):
        talk.now_us += LASTS_US // 4
        talk.tell(*seen, owner="other")
    answer = talk.tell(*seen, owner="other")
    assert [state.others for state in answer.cells] == [0, 0, 0]
    assert answer.cells[2].spent == 100
    assert talk.tell(held).status == Status.STRANGER


def test_after_a_silence_of_all_nobody_is_dead_at_once(talk: Talk) -> None:
    """It was the server that was away; the first to come back must not bury the others."""
    talk.hello("other")
    talk.tell(cell("c:x", Form.SLOTS, 2, granted=2))
    talk.now_us += 5 * LASTS_US
    answer = talk.tell(cell("c:x", Form.SLOTS, 2), owner="other")
    assert answer.cells[0].others == 2
    assert talk.tell(cell("c:x", Form.SLOTS, 2, granted=2)).status == Status.OK


def test_who_starts_again_under_its_name_holds_nothing(talk: Talk) -> None:
    talk.tell(cell("c:x", Form.SLOTS, 2, granted=2))
    talk.hello(new=True)
    answer = talk.tell(cell("c:x", Form.SLOTS, 2), demands=([1, 2],))
    assert answer.verdicts[0][0] == Verdict.TAKEN


def test_a_budget_waits_for_the_ledgers_sum_which_counts_once(talk: Talk) -> None:
    unseeded = cell("b:x", Form.BUDGET, 100)
    assert talk.tell(unseeded, demands=([1, 10],)).verdicts == [(Verdict.UNSEEDED, [1])]
    seeded = cell("b:x", Form.BUDGET, 100, seed=70)
    assert [talk.tell(seeded).cells[0].spent for _ in range(2)] == [70, 70]


def test_a_row_is_booked_unless_its_worker_told_of_it(talk: Talk) -> None:
    began = BEGAN_US / MICRO
    talk.tell(cell("b:x", Form.BUDGET, 100, used=5, seed=0, until=began + 2))
    booked = tuple(Booking("w", began + after, 1, 10) for after in (1, 2, 3))
    anonymous = Booking("", began + 1, 1, 30)
    before = Booking("", began - 1, 1, 40)
    answer = talk.tell(cell("b:x", Form.BUDGET, 100), bookings=(*booked, anonymous, before))
    assert answer.cells[0].spent == 5 + 10 + 30


def test_what_lies_idle_elsewhere_is_called_back_and_nobody_gets_more_of_it_meanwhile(talk: Talk) -> None:
    talk.hello("other")
    (lease,) = talk.tell(cell("b:x", Form.BUDGET, 800, want=500, seed=0)).cells
    assert lease.gain == 100
    wants_all = talk.tell(cell("b:x", Form.BUDGET, 800), demands=([1, 701],), owner="other")
    assert wants_all.verdicts == [(Verdict.RECALLING, [1])]
    (told,) = talk.tell(cell("b:x", Form.BUDGET, 800, granted=100, idle=100, want=500)).cells
    assert told.recalled and told.gain == 0
    talk.tell(cell("b:x", Form.BUDGET, 800))
    again = talk.tell(cell("b:x", Form.BUDGET, 800), demands=([1, 800],), owner="other")
    assert again.verdicts[0][0] == Verdict.TAKEN


def test_an_alert_is_due_once_and_not_for_what_the_ledger_had(talk: Talk) -> None:
    alarms = [
        talk.tell(cell("b:x", Form.BUDGET, 100, used=used, seed=0)).cells[0].alarming for used in (79, 1, 9)
    ]
    assert alarms == [False, True, False]
    assert not talk.tell(cell("b:y", Form.BUDGET, 100, seed=85)).cells[0].alarming


def test_a_server_that_lost_its_counts_is_another_generation(talk: Talk) -> None:
    before = talk.generation
    shared_server().empty()
    assert talk.tell(cell("b:x", Form.BUDGET, 100)).status == Status.UNKNOWN_GENERATION
    talk.now_us += 100_001
    welcome = talk.hello()
    assert welcome.generation not in ("", before) and not welcome.known
    assert welcome.cutoff_us == BEGAN_US + 250_000, "rounded up to a quarter of a second"
