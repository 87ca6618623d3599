"""Every plot, of much, of little, and of nothing; warnings fail a test here."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure as Drawing

from benchmarks.record import Curve, CurveKind, Run, Verdict
from benchmarks.report.bars import cost_bars, forest
from benchmarks.report.curves import at_percentile, cdfs, frontiers, highest_under, nines, timelines
from benchmarks.report.drawing import Colour, Inks, inks, styled, to_svg
from benchmarks.report.history import figures_with_past, points_of, runs_in_order, value_range
from benchmarks.report.page import write_pngs
from benchmarks.report.plots import CAPTIONS, plots, stable_plots
from tests.unit.benchmarks.report.examples import (
    AGAINST,
    CURVES,
    EMPTY,
    FULL,
    MACHINE,
    MINIMAL,
    PEERS,
    compared,
    curve,
)

Draw = Callable[[Sequence[Curve], Inks], Drawing]


def _older(run: Run, day: int, cpu: str = MACHINE.cpu) -> Run:
    machine = msgspec.structs.replace(MACHINE, date=f"2026-11-{day:02}T08:00:00+00:00", cpu=cpu)
    return msgspec.structs.replace(run, machine=machine)


HISTORY = [_older(FULL, 20), _older(FULL, 21, "another CPU"), _older(MINIMAL, 22)]


@pytest.mark.parametrize(
    ("run", "history", "names"),
    [
        pytest.param(
            FULL,
            HISTORY,
            ["cpu", "latency-1", "latency-2", "gaps-1", "frontier-1", "memory-1", "timeline-1", "history"],
            id="full",
        ),
        pytest.param(AGAINST, [], ["comparisons", "cpu"], id="a-comparison-comes-first"),
        pytest.param(MINIMAL, [], [], id="minimal"),
        pytest.param(EMPTY, HISTORY, [], id="empty"),
    ],
)
def test_a_run_has_the_plots_that_it_has_data_for(run: Run, history: list[Run], names: list[str]) -> None:
    drawn = plots(run, history)
    assert [plot.name for plot in drawn] == names
    assert all(to_svg(plot.drawing, plot.name).startswith("<svg") and plot.caption for plot in drawn)


@pytest.mark.parametrize("draw", [cdfs, frontiers, timelines])
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param({"gateway": [(0.5, 50.0), (0.7, 99.0)], "nginx": [(0.5, 50.0)]}, id="two-lines"),
        pytest.param({"gateway": [(1.0, 1.0)]}, id="one-point"),
        pytest.param({"gateway": [(0.0, 0.0), (0.0, 100.0)]}, id="zeros"),
        pytest.param({"gateway": []}, id="a-line-without-points"),
        pytest.param({}, id="no-lines"),
        pytest.param(
            {f"${name}_{{": [(1.0, 1.0), (2.0, 2.0)] for name in range(7)}, id="many-with-odd-names"
        ),
    ],
)
def test_curves_of_any_size(draw: Draw, lines: dict[str, list[tuple[float, float]]]) -> None:
    with styled():
        drawing = draw([curve("any", CurveKind.CDF, lines)], inks(lines, "gateway"))
    assert "Any of JSON</text>" in to_svg(drawing, "any")


def test_no_curves_and_no_figures_are_an_empty_sheet() -> None:
    """Nothing to draw is no reason to fail."""
    with styled():
        empty = [cdfs([], {}), cost_bars([], [], {}), forest([], [])]
    assert all(to_svg(drawing, "none").startswith("<svg") for drawing in empty)


def test_an_interval_beyond_the_axis_is_drawn_to_its_end() -> None:
    """It would stretch all others to nothing; the text has its numbers."""
    with styled():
        drawing = forest(FULL.figures, [compared("json.cpu", 4.0, 1e300, Verdict.CANT_TELL)])
    assert drawing.axes[0].get_xlim() == (0.5, 1.5)
    assert "+300 %" in to_svg(drawing, "forest")


def test_infinite_rounds_and_points_are_not_drawn() -> None:
    """A round that did nothing costs infinitely much."""
    figure = msgspec.structs.replace(FULL.figures[0], blocks={"gateway": [[math.inf]]})
    lines = {"gateway": [(1.0, math.nan), (math.inf, 3.0)]}
    run = msgspec.structs.replace(FULL, figures=(figure,), curves=(curve("latency", CurveKind.CDF, lines),))
    assert plots(run, []) == []


def test_the_same_run_is_the_same_picture() -> None:
    """So that a page in version control changes only with its figures."""
    first, second = ([to_svg(plot.drawing, plot.name) for plot in plots(FULL, HISTORY)] for _ in range(2))
    assert first == second


def test_a_picture_is_fit_for_a_page() -> None:
    """Its ids are its own, its colours the page's variables, its text text; no date and no address in it."""
    (svg,) = (to_svg(plot.drawing, plot.name) for plot in plots(FULL, []) if plot.name == "latency-1")
    assert 'id="latency-1-' in svg and ' id="a' not in svg
    assert f"var({Colour.MAIN.variable}, {Colour.MAIN})" in svg
    assert ">gateway</text>" in svg
    assert "http" not in svg and "<metadata" not in svg and "2026" not in svg


def test_the_main_subject_stands_out() -> None:
    """In its own colour and a wider line; the direct way is dashed."""
    drawn = inks(["direct", "gateway", "nginx"], "gateway")
    assert drawn["gateway"].colour is Colour.MAIN and drawn["gateway"].width > drawn["nginx"].width
    assert drawn["direct"].dashes == "--" and drawn["nginx"].colour is not Colour.MAIN


@pytest.mark.parametrize(
    ("percent", "place"),
    [
        pytest.param(0.0, 0.0, id="the-foot"),
        pytest.param(90.0, 1.0, id="one-nine"),
        pytest.param(99.9, 3.0, id="three"),
        pytest.param(100.0, math.inf, id="the-longest-of-all-is-nowhere"),
    ],
)
def test_nines(percent: float, place: float) -> None:
    assert nines(percent) == pytest.approx(place)


@pytest.mark.parametrize(
    ("percent", "duration"),
    [
        pytest.param(50.0, 0.8, id="at-a-point"),
        pytest.param(60.0, 1.1, id="the-next-one-above"),
        pytest.param(100.0, None, id="beyond-the-curve"),
    ],
)
def test_at_percentile(percent: float, duration: float | None) -> None:
    assert at_percentile([(0.5, 0.0), (0.8, 50.0), (1.1, 99.0)], percent) == duration


@pytest.mark.parametrize(
    ("limit", "rate"),
    [
        pytest.param(1.0, 4000.0, id="below-the-knee"),
        pytest.param(0.1, None, id="never"),
        pytest.param(50.0, 8000.0, id="noise-at-a-lower-rate-does-not-count"),
        pytest.param(9.0, 4000.0, id="under-means-under"),
    ],
)
def test_highest_under(limit: float, rate: float | None) -> None:
    assert highest_under([(500.0, 0.5), (4000.0, 0.9), (6000.0, 70.0), (8000.0, 9.0)], limit) == rate


def test_history_is_by_date_with_this_run_once() -> None:
    """Whether or not it was saved before the page was made."""
    ordered = runs_in_order(FULL, [HISTORY[1], FULL, HISTORY[0]])
    assert ordered == [HISTORY[0], HISTORY[1], FULL]
    points = points_of("json.cpu", ordered)
    assert [point.place for point in points] == [0, 1, 2]
    assert points[0].machine == points[2].machine != points[1].machine


def test_history_shows_figures_that_have_one_those_with_a_bar_first() -> None:
    """A figure of a single run has no past."""
    assert [figure.key for figure in figures_with_past(FULL, HISTORY)] == [
        "json.cpu",
        "latency.p50",
        "start.ready",
        "json.pace",
    ]
    assert figures_with_past(FULL, [FULL]) == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_the_history_axis_holds_all_values(values: list[float]) -> None:
    """With room around them, so that noise doesn't fill the panel."""
    low, high = value_range(values)
    assert low < high and all(low <= value <= high for value in values)


def test_pictures_have_stable_names_and_are_small(tmp_path: Path) -> None:
    """The README shows them, and a repository keeps them."""
    paths = write_pngs(FULL, HISTORY, tmp_path / "images")
    assert [path.name for path in paths] == [
        "cpu.png",
        "latency.png",
        "gaps.png",
        "frontier.png",
        "memory.png",
        "history.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size < 80_000 for path in paths)
    assert write_pngs(EMPTY, [], tmp_path) == []


@pytest.mark.parametrize("run", [FULL, AGAINST, PEERS], ids=lambda run: run.command)
def test_every_stable_plot_has_its_caption(run: Run) -> None:
    assert all(plot.caption == CAPTIONS[plot.name] for plot in stable_plots(run, []))


def test_curves_are_sorted_into_families_by_kind_and_name() -> None:
    """A gap between events is no latency, and loop lag is no memory."""
    only = [msgspec.structs.replace(FULL, figures=(), curves=(each,)) for each in CURVES]
    assert [[plot.name for plot in plots(run, [])] for run in only] == [
        ["latency-1"],
        ["latency-1"],
        ["gaps-1"],
        ["frontier-1"],
        ["memory-1"],
        ["timeline-1"],
    ]
