"""Where the time of a profile went: by function, by room, and against another profile. Pure."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from benchmarks.profiling.rooms import charged, room
from benchmarks.profiling.stacks import Frame, Stack


class Cost(msgspec.Struct, frozen=True):
    """What one function or room took. self: itself; total: with all that it called.

    Shares are of the whole profile, 0 to 1. The self shares of a profile add up to 1.
    """

    name: str
    self_seconds: float
    total_seconds: float
    self_share: float
    total_share: float


class Change(msgspec.Struct, frozen=True):
    """The self share of one function or room in two profiles."""

    name: str
    before_share: float
    after_share: float

    @property
    def difference(self) -> float:
        """Above 0: it takes more of the whole than before."""
        return self.after_share - self.before_share


def function_costs(stacks: Sequence[Stack]) -> list[Cost]:
    """By function, the dearest itself first."""
    return _costs(stacks, _function)


def room_costs(stacks: Sequence[Stack]) -> list[Cost]:
    """By room of the service, dependency, Python, and kernel, the dearest itself first."""
    return _costs(stacks, room)


def difference(before: Sequence[Cost], after: Sequence[Cost]) -> list[Change]:
    """What changed its self share, the largest change first.

    Shares of each profile's own whole: where one part has grown, all others have shrunk.
    """
    shares = [{cost.name: cost.self_share for cost in costs} for costs in (before, after)]
    names = dict.fromkeys([*shares[0], *shares[1]])
    changes = [Change(name, shares[0].get(name, 0.0), shares[1].get(name, 0.0)) for name in names]
    return sorted(changes, key=lambda change: abs(change.difference), reverse=True)


def _costs(stacks: Sequence[Stack], name_of: Callable[[Frame], str]) -> list[Cost]:
    own: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    for stack in stacks:
        own[name_of(stack.frames[charged(stack.frames)])] += stack.seconds
        # Once each: what calls itself isn't dearer for it.
        for name in {name_of(frame) for frame in stack.frames[1:]} or {name_of(stack.frames[0])}:
            total[name] += stack.seconds
    whole = sum(stack.seconds for stack in stacks)
    costs = [
        Cost(name, own[name], total[name], own[name] / whole, total[name] / whole)
        for name in {**own, **total}
        if whole > 0
    ]
    return sorted(costs, key=lambda cost: (-cost.self_seconds, -cost.total_seconds, cost.name))


def _function(frame: Frame) -> str:
    return frame.function
