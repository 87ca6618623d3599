"""The arithmetic of results: medians, ratios, bars and verdicts. Nothing here measures."""

import statistics
from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """Whether a figure keeps its bar; OPEN where it has none, or nothing to compare with."""

    KEPT = "kept"
    MISSED = "missed"
    OPEN = "open"


class Bar(msgspec.Struct, frozen=True):
    """The most that a figure may be: in its own unit, or as a multiple of nginx's."""

    limit: float
    of_nginx: bool = False


class Figure(msgspec.Struct, frozen=True):
    """One result. `gateway` and `nginx` are medians of `rounds`; None where it was not measured."""

    name: str
    unit: str
    gateway: float
    nginx: float | None = None
    bar: Bar | None = None
    notes: tuple[str, ...] = ()
    rounds: dict[str, list[float]] = {}

    @property
    def ratio(self) -> float | None:
        """The gateway's as a multiple of nginx's; None without one, or where noise left nginx nothing."""
        return self.gateway / self.nginx if self.nginx and self.nginx > 0 else None

    @property
    def verdict(self) -> Verdict:
        """The figure against its bar."""
        if self.bar is None:
            return Verdict.OPEN
        measured = self.ratio if self.bar.of_nginx else self.gateway
        if measured is None:
            return Verdict.OPEN
        return Verdict.KEPT if measured <= self.bar.limit else Verdict.MISSED


def figure(
    name: str,
    unit: str,
    rounds: dict[str, list[float]],
    bar: Bar | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """The figure of these rounds, by subject's name; `gateway` must be among them."""
    nginx = rounds.get("nginx")
    return Figure(
        name,
        unit,
        statistics.median(rounds["gateway"]),
        statistics.median(nginx) if nginx else None,
        bar,
        tuple(notes),
        rounds,
    )


def micros_per_unit(cpu_seconds: float, units: int) -> float:
    """CPU microseconds for each of `units`; infinite where nothing was done, never a flattering 0."""
    return cpu_seconds / units * 1e6 if units else float("inf")


def slope(fewer: int, value_at_fewer: float, more: int, value_at_more: float) -> float:
    """How much one more costs, from two points; what is paid once doesn't enter."""
    return (value_at_more - value_at_fewer) / (more - fewer)


FULL_CORE = 0.9
"""The share of its core above which a process, or the load side, is taken to be the bottleneck."""


def pace(units: int, wall_seconds: float, cpu_seconds: float) -> float:
    """Units per second on one core: as seen where the subject filled its core, else derived.

    Where something else set the pace (the load side, a neighbour), the subject could have done
    what 1 s of its CPU does.
    """
    filled = cpu_seconds > FULL_CORE * wall_seconds
    return units / (wall_seconds if filled or not cpu_seconds else cpu_seconds)
