"""The book of a run: blocks add up, nothing infinite gets in, and circumstances become notes."""

import math

import msgspec
import pytest

from benchmarks.analysis.verdicts import Thresholds, compare
from benchmarks.lab.accounts import Round, Spent
from benchmarks.load.tally import Distribution
from benchmarks.record import Bar, Curve, CurveKind, Figure, Kind
from benchmarks.report.saved import finite
from benchmarks.scenarios.book import Book, Watch, bottlenecks, disturbances, filled
from tests.unit.benchmarks.report.examples import FULL

INFINITE = float("inf")


def figure(key: str = "k", kind: Kind = Kind.CPU, **blocks: list[list[float]]) -> Figure:
    return Figure(key=key, name="a name", unit="µs", kind=kind, blocks=blocks)


def round_of(subject: float = 0.95, load: float = 0.5, foreign: float = 0.0, wall: float = 2.0) -> Round:
    """A round whose shares of a core are these."""
    return Round(10, 0, Spent(wall, subject * wall, load, foreign))


def only(book: Book) -> Figure:
    (figure,) = book.figures()
    return figure


def test_blocks_add_up_in_order_for_each_subject() -> None:
    """A subject may come later, or be missing in between; what was added is not changed by more."""
    book, first = Book(), figure(a=[[1.0, 2.0]], b=[[3.0]])
    book.add(first)
    book.add(figure(a=[[4.0]]))
    book.add(figure(a=[[5.0], [6.0]], c=[[7.0]]))
    assert only(book).blocks == {"a": [[1.0, 2.0], [4.0], [5.0], [6.0]], "b": [[3.0]], "c": [[7.0]]}
    assert first.blocks == {"a": [[1.0, 2.0]], "b": [[3.0]]}


def test_figures_and_curves_stay_in_the_order_in_which_they_came() -> None:
    """A second block of the first one doesn't move it."""
    book = Book()
    for key in ("z", "a", "m", "a", "z"):
        book.add(figure(key, x=[[1.0]]))
        book.add_durations(key, key, {})
    assert [each.key for each in book.figures()] == ["z", "a", "m"]
    assert [each.key for each in book.curves()] == ["z", "a", "m"]


@pytest.mark.parametrize("value", [INFINITE, -INFINITE, math.nan], ids=["inf", "minus-inf", "nan"])
def test_what_is_not_finite_is_left_out_with_its_block(value: float) -> None:
    """A round in which nothing was done has no cost; the others of its block are no fair sample without it."""
    book = Book()
    book.add(figure(a=[[1.0, value]], b=[[2.0, 3.0]]))
    book.add(figure(a=[[4.0, 5.0]], b=[[6.0, 7.0]]))
    kept = only(book)
    assert kept.blocks["b"] == [[2.0, 3.0], [6.0, 7.0]]
    assert [each for block in kept.blocks["a"] for each in block] == [4.0, 5.0]
    assert kept.value("a") == 4.5


def test_a_block_that_is_left_out_shifts_no_other_against_its_pair() -> None:
    """Rounds of different blocks were not measured next to each other, so they are no pairs."""
    book = Book()
    base = [10.0, 20.0, 40.0, 80.0]
    for number, value in enumerate(base):
        mine = INFINITE if number == 0 else value
        book.add(figure(head=[[mine, mine]], base=[[value, value]]))
    found = compare(only(book), "head", "base", Thresholds())
    assert found is not None
    assert found.ratio == pytest.approx(1.0)
    assert found.low == pytest.approx(1.0) == found.high


def test_a_subject_without_any_finite_value_has_none() -> None:
    """And the run can be saved."""
    book = Book()
    book.add(figure(a=[[INFINITE]]))
    assert only(book).value("a") is None
    assert only(book).ratio("a", "b") is None
    run = finite(msgspec.structs.replace(FULL, figures=book.figures()))
    assert msgspec.json.decode(msgspec.json.encode(run), type=type(run)) == run


def test_notes_are_kept_once_and_the_bar_is_the_last_ones() -> None:
    """The same note of several blocks is one."""
    book = Book()
    book.add(msgspec.structs.replace(figure(a=[[1.0]]), notes=("x", "y"), bar=Bar(1)))
    book.add(msgspec.structs.replace(figure(a=[[1.0]]), notes=("y", "z"), bar=Bar(2)))
    assert only(book).notes == ("x", "y", "z")
    assert only(book).bar == Bar(2)


@pytest.mark.parametrize(
    ("kind", "rounds", "derived", "notes"),
    [
        pytest.param(Kind.PACE, [round_of(0.95)] * 3, (), 0, id="its-core-was-full"),
        pytest.param(Kind.PACE, [round_of(0.5)] * 3, ("a",), 0, id="its-core-was-not-and-nobody-else's"),
        pytest.param(Kind.PACE, [round_of(0.5, load=0.97)] * 3, ("a",), 1, id="the-load-side's-was"),
        pytest.param(Kind.PACE, [round_of(0.95, load=0.97)] * 3, (), 0, id="both-were"),
        pytest.param(Kind.PACE, [round_of(0.1), *[round_of(0.95)] * 2], (), 0, id="the-median-counts"),
        pytest.param(Kind.CPU, [round_of(0.5, load=0.97)] * 3, (), 0, id="a-cost-is-never-derived"),
        pytest.param(Kind.CPU, [round_of(foreign=0.3)] * 3, (), 1, id="a-disturbed-cost"),
        pytest.param(Kind.CPU, [round_of(foreign=0.09)] * 3, (), 0, id="a-little-is-no-disturbance"),
        pytest.param(Kind.CPU, [round_of(foreign=9), *[round_of()] * 2], (), 0, id="once-is-no-disturbance"),
        pytest.param(Kind.PACE, [round_of(0.5, load=0.97, foreign=0.3)], ("a",), 2, id="all-at-once"),
    ],
)
def test_circumstances_of_rounds(
    kind: Kind, rounds: list[Round], derived: tuple[str, ...], notes: int
) -> None:
    """Of all blocks together."""
    book = Book()
    for each in rounds:
        book.add(figure(kind=kind, a=[[1.0]]), rounds={"a": [each]})
    assert only(book).derived == derived
    assert len(only(book).notes) == notes
    assert all(note.startswith("a ") for note in only(book).notes)


def test_a_figure_without_rounds_has_no_circumstances() -> None:
    """A pace that was searched for isn't derived from CPU."""
    book = Book()
    book.add(figure(kind=Kind.PACE, a=[[1.0]]))
    assert (only(book).derived, only(book).notes) == ((), ())


def test_shares_say_whose_they_are() -> None:
    """Percent of a core, of the median round."""
    rounds = {"a": [round_of(0.5, load=0.99, foreign=0.25)], "b": [round_of(0.95, load=0.99)]}
    assert filled(rounds["a"]) == pytest.approx(0.5)
    assert bottlenecks(rounds) == (
        "a used 50% of its core, the load side all of its own, so the load set the pace",
    )
    assert disturbances(rounds) == ("a was disturbed: others used 25% of a core",)


@pytest.mark.parametrize(
    ("values", "notes"),
    [
        pytest.param([0.2, 0.3, 9.0], (), id="the-median-is-within"),
        pytest.param([0.2, 1.4, 9.0], ("direct took 1.4 ms",), id="the-median-is-beyond"),
        pytest.param([1.0], (), id="the-limit-itself-is-within"),
    ],
)
def test_a_watch_is_the_median_of_its_blocks(values: list[float], notes: tuple[str, ...]) -> None:
    book, watch = Book(), Watch("direct took {:.1f} ms", 1.0)
    for value in values:
        book.add(figure(a=[[1.0]]))
        book.watch("k", watch, value)
        book.watch("another", Watch("{}", 0), 1e9)
    assert only(book).notes == notes


def test_durations_of_all_blocks_are_one_curve() -> None:
    """Each subject's own; the distributions that were added stay as they were."""
    book, seen = Book(), []
    for block in range(3):
        mine, theirs = Distribution(), Distribution()
        mine.record_all_ns([(block + 1) * 1_000_000] * 10)
        theirs.record_ns(5_000_000)
        seen.append(mine)
        book.add_durations("gap", "gaps", {"a": mine, "b": theirs})
    (curve,) = book.curves()
    assert (curve.kind, set(curve.lines)) == (CurveKind.CDF, {"a", "b"})
    assert curve.lines["a"][0][0] == pytest.approx(1, rel=0.001)
    assert curve.lines["a"][-1][0] == pytest.approx(3, rel=0.001)
    assert [each.count for each in seen] == [10, 10, 10]


def test_lines_of_a_curve_add_up() -> None:
    """A subject's second line takes the place of its first."""
    book = Book()
    for lines in ({"a": [(1.0, 1.0)]}, {"b": [(2.0, 2.0)]}, {"a": [(3.0, 3.0)]}):
        book.add_curve(
            Curve(key="c", name="c", kind=CurveKind.TIMELINE, x_label="s", y_label="MB", lines=lines)
        )
    (curve,) = book.curves()
    assert curve.lines == {"a": [(3.0, 3.0)], "b": [(2.0, 2.0)]}
