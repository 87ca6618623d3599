"""What the common suites of limits' homes ask and say: a few limits, and short words for the port's steps."""

from service.config.limits import Per
from service.limits.base import Kind, Level, Meter, Need, Refusal, Reservation, Subject, Used
from tests.contract.homes import BEGAN_AT, Home
from tests.fakes.ledger_sums import SummedRow

LASTS_SECONDS = 600.0
DAY = 86_400
MIDNIGHT = BEGAN_AT - DAY / 2
"""Twelve hours before every home opens."""


def meter(
    kind: Kind,
    capacity: int,
    *,
    per_minute: int = 0,
    per: Per | None = None,
    subject: Subject = Subject.KEY,
    subject_id: str = "k1",
) -> Meter:
    """A limit, with the name that `service.limits.policy` would give it."""
    limit = f"{kind.value}:{per}" if per else kind.value
    return Meter(
        name=f"{subject.value}:{subject_id}:{limit}",
        kind=kind,
        subject=subject,
        subject_id=subject_id,
        capacity=capacity,
        per_minute=per_minute,
        per=per,
    )


def budget(nano_usd: int, per: Per = "day", subject: Subject = Subject.KEY, subject_id: str = "k1") -> Meter:
    """One of money."""
    return meter(Kind.USD, nano_usd, per=per, subject=subject, subject_id=subject_id)


FIVE_A_MINUTE = meter(Kind.REQUESTS, 5, per_minute=5)
TOKENS = meter(Kind.TOKENS, 600, per_minute=600)
"""Ten a second."""
SLOTS = meter(Kind.CONCURRENCY, 2)


async def ask(home: Home, meters: tuple[Meter, ...], need: Need, **at: float) -> Reservation | Refusal:
    """One request. at: `started_at`, `lasts_seconds`, where they are not the usual ones."""
    started_at = at.get("started_at", home.now)
    lasts = at.get("lasts_seconds", LASTS_SECONDS)
    return await home.store.reserve(meters, need, id="r", started_at=started_at, lasts_seconds=lasts)


async def reserve(home: Home, meters: tuple[Meter, ...], need: Need, **at: float) -> Reservation:
    """One that passes."""
    answer = await ask(home, meters, need, **at)
    assert not isinstance(answer, Refusal), answer
    return answer


async def refused(home: Home, meters: tuple[Meter, ...], need: Need, **at: float) -> Refusal:
    """One that does not."""
    answer = await ask(home, meters, need, **at)
    assert isinstance(answer, Refusal)
    return answer


def waits(refusal: Refusal) -> float:
    """Its seconds, where waiting helps."""
    assert refusal.retry_after_seconds is not None
    return refusal.retry_after_seconds


async def settle(home: Home, reservation: Reservation, *, nano_usd: int = 0, tokens: int = 0) -> None:
    """Now, and wait until it counts."""
    home.store.settle(reservation, Used(nano_usd=nano_usd, tokens=tokens, finished_at=home.now))
    await home.sync()


async def level(home: Home, of: Meter) -> Level:
    """Where one meter stands."""
    (found,) = await home.store.levels((of,), now=home.now)
    return found


async def remaining(home: Home, *meters: Meter) -> list[int]:
    """What each has left."""
    return [found.remaining for found in await home.store.levels(meters, now=home.now)]


def row(nano_usd: int, started_at: float, finished_at: float, subject_id: str = "k1") -> SummedRow:
    """One of a key in the ledger; two tokens a nano-dollar."""
    return SummedRow(
        subject=Subject.KEY,
        subject_id=subject_id,
        started_at=started_at,
        finished_at=finished_at,
        nano_usd=nano_usd,
        tokens=nano_usd * 2,
    )
