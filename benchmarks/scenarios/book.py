"""The book of a run: figures and curves as they come in, block by block, and why others don't."""

import math
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from benchmarks.analysis.cost import FULL_CORE
from benchmarks.lab.accounts import Round
from benchmarks.load.tally import Distribution
from benchmarks.record import Curve, CurveKind, Figure, Kind

Rounds = Mapping[str, list[Round]]
"""Rounds of load by subject's name."""

_FOREIGN_SHARE_WORTH_A_NOTE = 0.1


class Watch(msgspec.Struct, frozen=True):
    """A circumstance that makes a figure worth less where it is above `limit`.

    sentence: with a place for the value.
    """

    sentence: str
    limit: float


class Book:
    """Holds what every block brought until `figures` and `curves` are asked for.

    unavailable: by scenario, or scenario and subject, why it was not measured.
    """

    def __init__(self) -> None:
        self._figures: dict[str, Figure] = {}
        self._rounds: dict[str, dict[str, list[Round]]] = {}
        self._seen: dict[str, dict[str, Distribution]] = {}
        self._curves: dict[str, Curve] = {}
        self._watched: dict[str, dict[Watch, list[float]]] = {}
        self.unavailable: dict[str, str] = {}

    def add(self, figure: Figure, rounds: Rounds | None = None) -> None:
        """Add one block of a figure to what earlier blocks brought.

        rounds: what its values come from, by which it is known in the end who was the bottleneck
        and who was disturbed. A round in which nothing was answered has no cost; that it
        happened is among the errors.
        """
        blocks = dict(self._figures[figure.key].blocks) if figure.key in self._figures else {}
        notes = self._figures[figure.key].notes if figure.key in self._figures else ()
        for name, added in figure.blocks.items():
            finite = all(math.isfinite(value) for block in added for value in block)
            # An empty block keeps its place: blocks of two subjects are pairs by their number.
            blocks[name] = [*blocks.get(name, []), *(added if finite else [[] for _ in added])]
        self._figures[figure.key] = msgspec.structs.replace(
            figure, blocks=blocks, notes=tuple(dict.fromkeys((*notes, *figure.notes)))
        )
        kept = self._rounds.setdefault(figure.key, {})
        for name, more in (rounds or {}).items():
            kept[name] = [*kept.get(name, []), *more]

    def add_durations(self, key: str, name: str, seen: Mapping[str, Distribution]) -> None:
        """Add one block of durations, of which a cumulative curve is made in the end."""
        kept = self._seen.setdefault(key, {})
        for subject, distribution in seen.items():
            kept.setdefault(subject, Distribution()).add(distribution)
        self._curves[key] = Curve(
            key=key, name=name, kind=CurveKind.CDF, x_label="ms", y_label="percent", lines={}
        )

    def add_curve(self, curve: Curve) -> None:
        """Add the lines of a curve to those of the same key."""
        known = self._curves.get(curve.key, curve)
        self._curves[curve.key] = msgspec.structs.replace(curve, lines={**known.lines, **curve.lines})

    def watch(self, key: str, watch: Watch, value: float) -> None:
        """Add one block's value of a circumstance; the median of all becomes a note of that figure."""
        self._watched.setdefault(key, {}).setdefault(watch, []).append(value)

    def figures(self) -> tuple[Figure, ...]:
        """All figures, in the order in which they first came."""
        return tuple(self._finished(figure) for figure in self._figures.values())

    def curves(self) -> tuple[Curve, ...]:
        """All curves."""
        return tuple(
            msgspec.structs.replace(curve, lines={name: each.cdf() for name, each in self._seen[key].items()})
            if key in self._seen
            else curve
            for key, curve in self._curves.items()
        )

    def _finished(self, figure: Figure) -> Figure:
        rounds = self._rounds[figure.key]
        watched = {
            watch: statistics.median(values) for watch, values in self._watched.get(figure.key, {}).items()
        }
        circumstances = (
            watch.sentence.format(value) for watch, value in watched.items() if value > watch.limit
        )
        notes = (*figure.notes, *circumstances, *disturbances(rounds))
        if figure.kind is not Kind.PACE or not rounds:
            return msgspec.structs.replace(figure, notes=notes)
        derived = tuple(name for name, each in rounds.items() if filled(each) <= FULL_CORE)
        return msgspec.structs.replace(figure, derived=derived, notes=(*bottlenecks(rounds), *notes))


def filled(rounds: Sequence[Round]) -> float:
    """The share of its core that a subject used, the median of its rounds."""
    return statistics.median(one.spent.cpu_seconds / one.spent.wall_seconds for one in rounds)


def bottlenecks(rounds: Rounds) -> tuple[str, ...]:
    """Where the load side's core was full: then it set the pace, and not the subject."""
    return tuple(
        f"{name} used {filled(each):.0%} of its core, the load side all of its own, so the load set the pace"
        for name, each in rounds.items()
        if filled(each) <= FULL_CORE and statistics.median(one.spent.load_share for one in each) > FULL_CORE
    )


def disturbances(rounds: Rounds) -> tuple[str, ...]:
    """Who was disturbed: what a reader must know to trust these rounds."""
    shares = {
        name: statistics.median(one.spent.foreign_share for one in each) for name, each in rounds.items()
    }
    return tuple(
        f"{name} was disturbed: others used {share:.0%} of a core"
        for name, share in shares.items()
        if share > _FOREIGN_SHARE_WORTH_A_NOTE
    )
