"""What a stretch of load cost, by the kernel's accounts from just before to just after it."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from benchmarks.lab import machine
from benchmarks.lab.lab import Lab
from benchmarks.lab.subjects import Subject
from benchmarks.load.tally import Tally


class Spent(msgspec.Struct, frozen=True):
    """CPU of the subject's process tree, and the shares of others in the wall time (1.0: a core)."""

    wall_seconds: float
    cpu_seconds: float
    load_share: float
    foreign_share: float


class Round(msgspec.Struct, frozen=True):
    """One round of load: what it brought, and what it cost."""

    answers: int
    events: int
    spent: Spent


class Meter:
    """Reads the accounts; `spent` is there once the `with` block of `metered` has ended."""

    def __init__(self, lab: Lab, subject: Subject) -> None:
        self._lab = lab
        self._subject = subject
        self._before = self._read()
        self.spent: Spent

    def stop(self) -> None:
        """Read again; the differences are what was spent."""
        wall, cpu, load, everyone = (
            after - before for after, before in zip(self._read(), self._before, strict=True)
        )
        self.spent = Spent(
            wall_seconds=wall,
            cpu_seconds=cpu,
            load_share=load / wall,
            # Below zero where a process ended meanwhile and took its account along.
            foreign_share=max(0.0, everyone - cpu - load) / wall,
        )

    def _read(self) -> tuple[float, float, float, float]:
        """Seconds: wall, the subject's CPU, the load side's, everyone's in sight."""
        return (
            time.monotonic(),
            sum(machine.tree_cpu_seconds(pid) for pid in self._subject.pids),
            self._load_cpu(),
            machine.everyone_cpu_seconds(),
        )

    def _load_cpu(self) -> float:
        """Of the core that the generator runs on: where the provider has another, the fuller one rules."""
        generator = time.process_time()
        around = sum(machine.process_cpu_seconds(pid) for pid in self._lab.load_pids)
        if self._lab.cores.load == self._lab.cores.upstream:
            return generator + around
        return max(generator, around)


@contextlib.contextmanager
def metered(lab: Lab, subject: Subject) -> Iterator[Meter]:
    """Account for what happens inside. From idle to idle, each request's whole cost lies within."""
    meter = Meter(lab, subject)
    yield meter
    meter.stop()


class Errors:
    """Every wrong answer of the whole run, by where it came from. Any fails the run."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def take(self, place: str, tally: Tally) -> None:
        """Add a run's errors under `place`; a run in which nothing at all was answered is one too."""
        if not (tally.answers or tally.begun or tally.left or tally.errors):
            tally.fail("nothing was answered")
        for kind, count in tally.errors.items():
            self.add(f"{place}: {kind}", count, tally.examples[kind])

    def add(self, what: str, count: int = 1, example: str = "") -> None:
        """Add one kind of error."""
        self.counts[what] += count
        self.examples.setdefault(what, example or what)
