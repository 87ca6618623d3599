"""From the model name in a request to the targets that may answer it, in order. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.config import Timeouts
from service.pricing.arithmetic import Rates


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one provider, with all that was configured for it.

    rates: None where its price is not known. price_version: where that comes from.
    """

    provider: str
    model: str
    timeouts: Timeouts
    max_output_tokens: int
    rates: Rates | None = None
    price_version: str = ""

    @property
    def name(self) -> str:
        """`provider/model`, as headers, logs and metrics show it."""
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Alias:
    """A public model name: its targets with their weights, and the aliases to fall back to."""

    name: str
    targets: tuple[tuple[Target, float], ...]
    fallbacks: tuple[str, ...] = ()


def plan(alias: Alias, aliases: Mapping[str, Alias], chance: float) -> tuple[Target, ...]:
    """Every target to try, each once: the alias's own in a weighted draw, then its fallbacks'.

    chance: drawn from [0, 1). A target of weight 0 is never drawn first, only fallen back to.
    """
    if len(alias.targets) == 1 and not alias.fallbacks:
        return (alias.targets[0][0],)
    found: dict[str, Target] = {}
    waiting, seen = [alias.name], set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        current = aliases.get(name, alias)
        for target in draw(current.targets, chance):
            found.setdefault(target.name, target)
        waiting.extend(current.fallbacks)
    return tuple(found.values())


def draw(targets: tuple[tuple[Target, float], ...], chance: float) -> tuple[Target, ...]:
    """One target first, drawn by weight; the others behind it in the order that they were written."""
    if len(targets) == 1:
        return (targets[0][0],)
    mark = chance * sum(weight for _, weight in targets)
    for first, weight in targets:
        mark -= weight
        if mark < 0:
            return (first, *(other for other, _ in targets if other is not first))
    return tuple(target for target, _ in targets)
