"""What a unit of work costs, and how many of them one core can do."""

FULL_CORE = 0.9
"""The share of its core above which a process, or the load side, is taken to be the bottleneck."""


def micros_per_unit(cpu_seconds: float, units: int) -> float:
    """CPU microseconds for each of `units`; infinite where nothing was done, never a flattering 0."""
    return cpu_seconds / units * 1e6 if units else float("inf")


def pace(units: int, wall_seconds: float, cpu_seconds: float) -> float:
    """Units per second on one core: as seen where the subject filled its core, else derived.

    Where something else set the pace (the load side, a neighbour), the subject could have done
    what 1 s of its CPU does.
    """
    filled = cpu_seconds > FULL_CORE * wall_seconds
    return units / (wall_seconds if filled or not cpu_seconds else cpu_seconds)
