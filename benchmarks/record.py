"""What a run brings: plain values that are saved as one JSON line. Nothing here measures or draws."""

import statistics
from enum import StrEnum

import msgspec

SCHEMA = 2
"""Of the saved lines; `report.saved` passes over lines of another one."""


class Kind(StrEnum):
    """What sort of quantity a figure is: it decides the threshold of a regression, and the direction."""

    CPU = "cpu"
    LATENCY = "latency"
    PACE = "pace"
    MEMORY = "memory"
    START = "start"

    @property
    def higher_is_better(self) -> bool:
        """True for units per second; everything else is a cost."""
        return self is Kind.PACE


class Bar(msgspec.Struct, frozen=True):
    """The most that a figure may be: in its own unit, or as a multiple of nginx's."""

    limit: float
    of_nginx: bool = False


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity, for each subject of the run.

    key: stable name, `scenario.quantity`. unit: "µs", "ms", "/s", "MB", "KB", "s", "%".
    blocks: by subject's name, one list per block (a set of fresh processes) of that block's
    rounds. Rounds of the same block and place were measured next to each other and are pairs.
    derived: subjects whose value was not seen but computed as 1 s ÷ CPU per unit, because
    something else than the subject was the bottleneck.
    """

    key: str
    name: str
    unit: str
    kind: Kind
    blocks: dict[str, list[list[float]]]
    bar: Bar | None = None
    derived: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def value(self, subject: str) -> float | None:
        """The median of all rounds of one subject; None where it has none."""
        rounds = [value for block in self.blocks.get(subject, ()) for value in block]
        return statistics.median(rounds) if rounds else None

    def ratio(self, subject: str, reference: str) -> float | None:
        """One subject's value as a multiple of another's; None where there is nothing to compare with."""
        value, base = self.value(subject), self.value(reference)
        return None if value is None or base is None or base <= 0 else value / base


class CurveKind(StrEnum):
    """How a curve is to be read, and so drawn."""

    CDF = "cdf"
    FRONTIER = "frontier"
    TIMELINE = "timeline"


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """What a figure's one number leaves out. `lines`: by subject's name, points (x, y).

    CDF: x a duration in milliseconds, y the percentage that took at most as long, rising.
    FRONTIER: x requests/s offered, y the added p99 in milliseconds.
    TIMELINE: x seconds since the start, y the quantity in `y_label`.
    """

    key: str
    name: str
    kind: CurveKind
    x_label: str
    y_label: str
    lines: dict[str, list[tuple[float, float]]]


class Verdict(StrEnum):
    """What an interval says of a ratio, given a threshold."""

    SLOWER = "slower"
    SAME = "same"
    FASTER = "faster"
    CANT_TELL = "can't tell"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of two subjects: the ratio subject ÷ reference, with a 95 % bootstrap interval.

    For a figure where higher is better the ratio is turned over, so above 1 is always worse.
    threshold: 0.05 is 5 %.
    """

    key: str
    subject: str
    reference: str
    ratio: float
    low: float
    high: float
    threshold: float
    verdict: Verdict


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a result was measured; saved with it, for figures without it mean nothing."""

    date: str
    cpu: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    packages: dict[str, str]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run as it is saved: where, of what, how long, what came out, and what went wrong.

    command: as typed after `just bench`. subjects: by name, what exactly each was: a git
    revision (a `+` where the work tree differed) or a version. reference: the subject that the
    table's ratios refer to. errors: by place and kind, how many answers were wrong; any fails
    the run. unavailable: by scenario, or scenario and subject, why it was not measured.
    """

    machine: Machine
    command: str
    speed: str
    subjects: dict[str, str]
    reference: str | None
    scenarios: tuple[str, ...]
    seconds: float
    figures: tuple[Figure, ...]
    comparisons: tuple[Comparison, ...] = ()
    curves: tuple[Curve, ...] = ()
    errors: dict[str, int] = {}
    unavailable: dict[str, str] = {}
    schema: int = SCHEMA

    @property
    def main_subject(self) -> str:
        """The one that the run is about: the first that is not the reference."""
        return next(name for name in self.subjects if name != self.reference)
