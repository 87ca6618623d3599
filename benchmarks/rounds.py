"""One round of load on one subject, with the kernel's accounts from just before to just after it."""

import statistics
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from benchmarks import figures, machine
from benchmarks.load import Client, ClosedLoop
from benchmarks.subjects import Lab, Subject
from benchmarks.tally import Tally

_FOREIGN_SHARE_WORTH_A_NOTE = 0.1


class Round(msgspec.Struct, frozen=True):
    """What one round cost. Shares are of the wall time, 1.0 being a whole core."""

    answers: int
    events: int
    wall_seconds: float
    cpu_seconds: float
    load_share: float
    foreign_share: float


class Errors:
    """Every wrong answer of the whole run, by where it came from. Any fails the run."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def take(self, place: str, tally: Tally) -> None:
        """Add a run's errors under `place`; a run in which nothing at all was answered is one too."""
        if not tally.answers and not tally.begun and not tally.errors:
            tally.fail("nothing was answered")
        for kind, count in tally.errors.items():
            self.counts[f"{place}: {kind}"] += count
            self.examples.setdefault(f"{place}: {kind}", tally.examples[kind])


class _Accounts(msgspec.Struct, frozen=True):
    wall: float
    subject_cpu: float
    load_cpu: float
    everyone_cpu: float


def _accounts(lab: Lab, subject: Subject) -> _Accounts:
    upstream = lab.direct.process
    assert upstream is not None
    subject_cpu = 0.0 if subject.process is None else machine.tree_cpu_seconds(subject.process.pid)
    return _Accounts(
        wall=time.monotonic(),
        subject_cpu=subject_cpu,
        load_cpu=time.process_time() + machine.process_cpu_seconds(upstream.pid),
        everyone_cpu=machine.everyone_cpu_seconds(),
    )


async def closed_round(lab: Lab, subject: Subject, loop: ClosedLoop, connections: int) -> tuple[Round, Tally]:
    """Run `loop` over fresh connections. Opening them is outside the accounts; everything else is in.

    From idle to idle: each request's whole cost lies between the two readings, so no share of
    one is lost or counted twice at an edge.
    """
    async with Client(subject.port, connections) as client:
        before = _accounts(lab, subject)
        tally = await loop.run(client)
        after = _accounts(lab, subject)
    wall = after.wall - before.wall
    cpu = after.subject_cpu - before.subject_cpu
    load_cpu = after.load_cpu - before.load_cpu
    spent = Round(
        answers=tally.answers,
        events=tally.events,
        wall_seconds=wall,
        cpu_seconds=cpu,
        load_share=load_cpu / wall,
        # Below zero where a process ended meanwhile and took its account along.
        foreign_share=max(0.0, after.everyone_cpu - before.everyone_cpu - cpu - load_cpu) / wall,
    )
    return spent, tally


def cpu_micros(rounds: dict[str, list[Round]], units: Callable[[Round], int]) -> dict[str, list[float]]:
    """CPU microseconds per unit, round by round, for each subject."""
    return {
        name: [figures.micros_per_unit(one.cpu_seconds, units(one)) for one in each]
        for name, each in rounds.items()
    }


def paces(rounds: dict[str, list[Round]], units: Callable[[Round], int]) -> dict[str, list[float]]:
    """Units per second on one core (`figures.pace`), round by round, for each subject."""
    return {
        name: [figures.pace(units(one), one.wall_seconds, one.cpu_seconds) for one in each]
        for name, each in rounds.items()
    }


def notes(rounds: dict[str, list[Round]]) -> list[str]:
    """What a reader must know to trust these rounds: who was the bottleneck, who disturbed."""
    said = []
    for name, each in rounds.items():
        cpu_share = statistics.median(one.cpu_seconds / one.wall_seconds for one in each)
        load_share = statistics.median(one.load_share for one in each)
        foreign_share = statistics.median(one.foreign_share for one in each)
        if load_share > figures.FULL_CORE:
            said.append(
                f"{name} filled {cpu_share:.0%} of its core, the load side {load_share:.0%} of its own"
            )
        if foreign_share > _FOREIGN_SHARE_WORTH_A_NOTE:
            said.append(f"{name} was disturbed: others used {foreign_share:.0%} of a core")
    return said
