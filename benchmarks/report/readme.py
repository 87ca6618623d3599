"""The latest figures in benchmarks/README.md: written by the command, never by hand."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import Run
from benchmarks.report import summary
from benchmarks.report.page import write_pngs
from benchmarks.report.plots import CAPTIONS
from benchmarks.report.saved import ResultsMissing
from benchmarks.report.tables import Table, table

README = Path(__file__).parents[1] / "README.md"
IMAGES = Path(__file__).parents[1] / "images"
"""In version control, beside the README that shows them."""

_BEGIN = re.compile("<!-- results: begin.*?-->")
_END = "<!-- results: end -->"


def write_readme(run: Run, history: Sequence[Run], readme: Path = README, images: Path = IMAGES) -> None:
    """Put a run into the README, and its plots beside it. Raises ResultsMissing where it has no marks."""
    text = readme.read_text(encoding="utf-8")
    filled(text, "")  # before pictures are replaced that the text would not show
    pngs = [path.relative_to(readme.parent) for path in write_pngs(run, history, images)]
    readme.write_text(filled(text, markdown(run, pngs)), encoding="utf-8")


def filled(text: str, results: str) -> str:
    """`text` with what stands between its two marks replaced. Raises ResultsMissing without marks."""
    begin = _BEGIN.search(text)
    end = text.find(_END, begin.end()) if begin else -1
    if begin is None or end < 0:
        raise ResultsMissing(
            "The README has no marked place for results: <!-- results: begin --> and its end."
        )
    return f"{text[: begin.end()]}\n\n{results}\n{text[end:]}"


def markdown(run: Run, pngs: Sequence[Path]) -> str:
    """The run as the README shows it; `pngs` are paths relative to the README."""
    drawn = table(run)
    lines = [
        *(f"{_escaped(sentence)}\n" for sentence, _ in summary.conclusions(run)),
        *_rows(drawn),
        "",
        *(f"{_escaped(line)}  " for line in (*drawn.legend, *summary.headline(run)[1:])),
        "",
        *(f"- {_escaped(note)}" for note in summary.notes(run)),
        *(f"- **{count:,} errors**: {_escaped(place)}" for place, count in run.errors.items()),
        *(f"- not measured: {_escaped(f'{place}: {why}')}" for place, why in run.unavailable.items()),
        "",
        *(_image(png) for png in pngs),
        f"Made by `{summary.command(run)}` on {run.machine.date[:10]} in {run.seconds:.0f} s.",
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _rows(drawn: Table) -> list[str]:
    return [
        _row([column.title for column in drawn.columns]),
        _row(["---:" if column.numeric else "---" for column in drawn.columns]),
        *(_row([_escaped(cell.text) for cell in row]) for row in drawn.rows),
    ]


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.strip() for text in texts)} |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))


def _image(path: Path) -> str:
    caption = CAPTIONS.get(path.stem, path.stem)
    source, alt = html.escape(path.as_posix()), html.escape(path.stem)
    return f'<img src="{source}" width="640" alt="{alt}">\n\n{_escaped(caption)}\n'
