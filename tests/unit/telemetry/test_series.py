"""Counters and histograms as plain numbers, and their sum."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.series import SECONDS, Distribution, Series, add, empty_distribution

LABELS = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["200", "500"]))
VALUES = st.sampled_from([0.0, 0.005, 0.0051, 1.0, 600.0, 601.0])
RECORDS = st.lists(st.tuples(LABELS, VALUES), max_size=20)


def recorded(records: list[tuple[tuple[str, str], float]]) -> Series:
    """A worker's numbers after these requests."""
    series = Series()
    for labels, value in records:
        series.requests[labels] += 1
        series.tokens[labels] += 3
        series.durations[labels].observe(value)
    return series


def plain(series: Series) -> object:
    """As builtins, so that kinds of dictionaries don't matter."""
    return msgspec.to_builtins(
        msgspec.msgpack.decode(msgspec.msgpack.encode(series), type=Series), str_keys=False
    )


def test_a_bound_belongs_to_its_own_bucket() -> None:
    """As Prometheus' `le` says; what is above all bounds has the last bucket."""
    distribution = empty_distribution()
    for value in (0.0, 0.005, 0.0050001, 600.0, 600.1, 1e9):
        distribution.observe(value)
    assert distribution.counts[0] == 2
    assert distribution.counts[1] == 1
    assert distribution.counts[-2:] == [1, 2]
    assert sum(distribution.counts) == 6
    assert len(distribution.counts) == len(SECONDS) + 1


def test_distributions_share_nothing() -> None:
    """Each has its own buckets."""
    first, second = empty_distribution(), empty_distribution()
    first.observe(1.0)
    assert second == Distribution([0] * (len(SECONDS) + 1))


@given(st.lists(RECORDS, max_size=4))
def test_workers_add_up_to_what_one_would_have_counted(
    workers: list[list[tuple[tuple[str, str], float]]],
) -> None:
    """Whatever went to which; through the file's format, as it is between processes."""
    summed = Series()
    for records in workers:
        add(summed, msgspec.msgpack.decode(msgspec.msgpack.encode(recorded(records)), type=Series))
    together = recorded([record for records in workers for record in records])
    assert {labels: found.counts for labels, found in summed.durations.items()} == {
        labels: found.counts for labels, found in together.durations.items()
    }
    assert summed.requests == together.requests
    assert summed.tokens == together.tokens
    assert (
        sum(found.total for found in summed.durations.values())
        == sum(value for records in workers for _, value in records)
        or abs(
            sum(found.total for found in summed.durations.values()) - sum(v for r in workers for _, v in r)
        )
        < 1e-6
    )


def test_adding_leaves_the_other_as_it_was() -> None:
    """Its numbers may be added again elsewhere."""
    other = recorded([(("a", "200"), 1.0)])
    before = plain(other)
    summed = Series()
    add(summed, other)
    summed.durations["a", "200"].observe(2.0)
    summed.requests["a", "200"] += 1
    assert plain(other) == before
