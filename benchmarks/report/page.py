"""The run as one HTML file that needs nothing else: figures, plots, and the data to take along."""

import base64
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.record import Run
from benchmarks.report import cells, summary
from benchmarks.report.drawing import HALF_INCHES, to_png, to_svg
from benchmarks.report.markup import Html, element, joined
from benchmarks.report.plots import Plot, plots, stable_plots
from benchmarks.report.saved import directory_name, finite
from benchmarks.report.tables import Cell, Column, Tone, main_subject, table

_STYLE = Path(__file__).with_name("page.css")
_SPREAD_LEGEND = (
    "Medians of all rounds. ± is the wider side of the median's 95 % interval, or of the rounds' range where "
    "all came from one start."
)


def write_page(run: Run, history: Sequence[Run], path: Path) -> None:
    """Write the page of one run; `history` is the saved runs, with or without this one."""
    path.write_text(page(run, history), encoding="utf-8")


def write_pngs(run: Run, history: Sequence[Run], directory: Path) -> list[Path]:
    """Write a picture for each stable name that the run has data for; return them as they should be read."""
    directory.mkdir(parents=True, exist_ok=True)
    return [to_png(plot.drawing, directory / f"{plot.name}.png") for plot in stable_plots(run, history)]


def page(run: Run, history: Sequence[Run]) -> str:
    """The page's text. It asks nothing of any other address, and runs no script."""
    drawn = plots(run, history)
    body = element(
        "main",
        _header(run),
        _facts(run),
        _figures(run),
        _gallery("Plots", [plot for plot in drawn if plot.name != "history"]),
        _remarks(run),
        _gallery("Across saved runs", [plot for plot in drawn if plot.name == "history"]),
        _footer(run),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{summary.command(run)}, {run.machine.date[:10]}"),
        element("style", Html(_STYLE.read_text(encoding="utf-8"))),
    )
    return f"<!doctype html>\n{element('html', head, element('body', body), lang='en')}\n"


def _header(run: Run) -> Html:
    kicker = f"Penstock benchmark · {run.machine.date[:10]} · {run.subjects.get(main_subject(run), '')}"
    return element(
        "header",
        element("p", kicker, class_="kicker"),
        element("h1", element("code", summary.command(run))),
        *(element("p", sentence, class_=f"lead {tone}") for sentence, tone in summary.conclusions(run)),
    )


def _facts(run: Run) -> Html:
    at = run.machine
    facts = {
        "run": f"{summary.when(run)}, {run.speed}, {run.seconds:.0f} s",
        "machine": f"{at.cores} cores of {at.cpu}, {at.memory_bytes / 1e9:.3g} GB, Linux {at.kernel}",
        "measured": ", ".join(f"{name} {identity}".rstrip() for name, identity in run.subjects.items()),
        "packages": ", ".join(
            [f"Python {at.python}", *(f"{name} {is_}" for name, is_ in at.packages.items())]
        ),
    }
    return element(
        "dl", *(element("div", element("dt", name), element("dd", text)) for name, text in facts.items())
    )


def _figures(run: Run) -> Html:
    if not run.figures:
        return Html("")
    drawn = table(run, cells.value_with_spread)
    head = element(
        "tr", *(element("th", column.title, scope="col", **_class(column)) for column in drawn.columns)
    )
    rows = [
        element("tr", _name(row[0]), *map(_cell, row[1:], drawn.columns[1:]), id=figure.key)
        for figure, row in zip(run.figures, drawn.rows, strict=True)
    ]
    whole = element("table", element("thead", head), element("tbody", *rows))
    legend = [_SPREAD_LEGEND, *(f"{line[0].upper()}{line[1:]}." for line in drawn.legend)]
    return joined(
        [
            element("h2", "Figures"),
            element("div", whole, class_="scroll"),
            element("p", " ".join(legend), class_="legend"),
        ]
    )


def _class(column: Column, tone: Tone = Tone.PLAIN) -> dict[str, str]:
    names = ["number"] * column.numeric + [tone.value] * (tone is not Tone.PLAIN)
    return {"class_": " ".join(names)} if names else {}


def _name(cell: Cell) -> Html:
    return element("th", cell.text, scope="row")


def _cell(cell: Cell, column: Column) -> Html:
    return element("td", cell.text, **_class(column, cell.tone))


def _gallery(title: str, drawn: Sequence[Plot]) -> Html:
    if not drawn:
        return Html("")
    figures = [
        element(
            "figure",
            element("div", Html(to_svg(plot.drawing, plot.name)), class_="scroll"),
            element("figcaption", plot.caption),
            class_="wide" if plot.drawing.get_figwidth() > HALF_INCHES else "half",
        )
        for plot in drawn
    ]
    return joined([element("h2", title), element("div", *figures, class_="plots")])


def _remarks(run: Run) -> Html:
    errors = [f"{count:,} × {place}" for place, count in run.errors.items()]
    missing = [f"{scenario}: {reason}" for scenario, reason in run.unavailable.items()]
    return joined(
        [
            _list("Errors", errors, Tone.BAD),
            _list("Notes", summary.notes(run), Tone.PLAIN),
            _list("Not measured", missing, Tone.QUIET),
        ]
    )


def _list(title: str, texts: Sequence[str], tone: Tone) -> Html:
    if not texts:
        return Html("")
    return joined(
        [element("h2", title), element("ul", *(element("li", text) for text in texts), class_=tone)]
    )


def _footer(run: Run) -> Html:
    data = base64.b64encode(msgspec.json.encode(finite(run))).decode()
    link = element(
        "a",
        "the whole run as JSON",
        href=f"data:application/json;base64,{data}",
        download=f"{directory_name(run)}.json",
    )
    return element(
        "footer",
        element("span", "Every round of every figure, and every curve: ", link, class_="screen"),
        element("p", "Absolute figures of two machines don't compare; ratios nearly do."),
    )
