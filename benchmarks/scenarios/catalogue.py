"""Every scenario, in the order in which they run, and how much of each a speed does."""

from collections.abc import Awaitable, Callable

import msgspec

from benchmarks.scenarios import footprint, frontier, latency, pressure, resume, throughput
from benchmarks.scenarios.bench import Bench, Size

QUICK = Size(name="quick", blocks=1, rounds=2, json_seconds=1.0, burst_repeats=8, latency_seconds=4.0)
DAILY = Size(name="daily", blocks=2, rounds=2, latency_seconds=12.0)
FULL = Size(name="full", blocks=3, rounds=4, latency_seconds=20.0, starts=5)
# Many short rounds say more than few long ones: what differs from round to round (who met whom at
# the sockets, a neighbour on the core) doesn't shrink with a round's length. Blocks average over the
# luck of a process's start. `just bench prove` shows what these sizes can and can't tell.
COMPARE_QUICK = Size(
    name="quick",
    blocks=8,
    rounds=5,
    warm_up_seconds=0.3,
    json_seconds=0.25,
    stream_tokens=16,
    burst_repeats=4,
    latency_rate=300,
    subtracts_direct=False,
    latency_seconds=2.0,
    starts=1,
)
COMPARE_DAILY = Size(
    name="daily",
    blocks=12,
    rounds=4,
    warm_up_seconds=0.3,
    json_seconds=0.3,
    stream_tokens=20,
    burst_repeats=5,
    latency_rate=300,
    subtracts_direct=False,
    latency_seconds=3.0,
    open_streams=200,
    starts=1,
)
COMPARE_FULL = msgspec.structs.replace(COMPARE_DAILY, name="full", blocks=20, latency_seconds=6.0)
COMPARISONS = {size.name: size for size in (COMPARE_QUICK, COMPARE_DAILY, COMPARE_FULL)}
PEER_SIZE = Size(name="peers", blocks=1, rounds=3, json_seconds=2.0, burst_repeats=4, latency_seconds=10.0)


class Scenario(msgspec.Struct, frozen=True):
    """One piece of work. `speeds`: in which runs it is done unless it is asked for by name.

    The names are those of runs: quick, daily, full and peers, and `compare-` before them for two revisions.
    """

    run: Callable[[Bench], Awaitable[None]]
    speeds: frozenset[str]

    @property
    def title(self) -> str:
        """What it does, in a sentence."""
        return (self.run.__doc__ or "").partition("\n")[0]


def _in(*speeds: str) -> frozenset[str]:
    return frozenset(speeds)


_ALWAYS = _in("peers", "quick", "daily", "full", "compare-quick", "compare-daily", "compare-full")
_DAILY = _in("daily", "full", "compare-daily", "compare-full")

SCENARIOS: dict[str, Scenario] = {
    "json": Scenario(throughput.json, _ALWAYS),
    "large": Scenario(throughput.large, _DAILY),
    "sse": Scenario(throughput.sse, _ALWAYS),
    "sse-1000": Scenario(throughput.sse_1000, _in("full")),
    "burst": Scenario(throughput.burst, _ALWAYS),
    "translate": Scenario(throughput.translate, _DAILY),
    "latency": Scenario(latency.latency, _ALWAYS),
    "mixed": Scenario(latency.mixed, _in("daily", "full")),
    "resume": Scenario(resume.resume, _in("daily", "full")),
    "slow-readers": Scenario(pressure.slow_readers, _in("full")),
    "storm": Scenario(pressure.disconnect_storm, _in("full")),
    "guarded": Scenario(throughput.guarded, _DAILY),
    "guarded-redis": Scenario(throughput.guarded_redis, _in("full", "compare-full")),
    "cache": Scenario(throughput.cache, _in("full", "compare-full")),
    "frontier": Scenario(frontier.frontier, _in("full")),
    "soak": Scenario(footprint.soak, _in("full")),
    "idle": Scenario(footprint.idle_streams, _in("full")),
    "memory": Scenario(
        footprint.memory, _in("peers", "quick", "daily", "full", "compare-daily", "compare-full")
    ),
    "start": Scenario(footprint.start, _in("quick", "daily", "full", "compare-daily", "compare-full")),
}
"""What stops the subjects comes last."""

ONCE = frozenset(
    {"frontier", "soak", "idle", "memory", "start", "slow-readers", "storm", "sse-1000", "resume"}
)
"""Done in the first block only of a run that isn't a comparison: they are long, or start afresh anyway."""
