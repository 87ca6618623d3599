"""The sheet that plots are drawn on: palette, type, panels, and the way to SVG and PNG.

Only matplotlib's objects are used, never pyplot: nothing here is global, and no window can open.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path

import msgspec
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from PIL import Image

HALF_INCHES = 5.6
"""Two of these stand side by side in a page."""
WIDE_INCHES = 7.6
_PNG_DPI = 2 * 96
_PNG_COLOURS = 64  # lines, type and their soft edges; a third of the size of all colours


class Colour(StrEnum):
    """Colours by role, as on white; page.css has each again for dark pages.

    Told apart with any of the usual colour blindnesses, and none is needed to read a plot: what
    is drawn is also labelled.
    """

    PAGE = "#ffffff"
    TEXT = "#1b2430"
    QUIET = "#5d6875"
    RULE = "#dde2e7"
    MAIN = "#0b5cad"
    OTHER_1 = "#6b7684"
    OTHER_2 = "#ad7f2b"
    OTHER_3 = "#8a68ad"
    OTHER_4 = "#3f8f80"
    OTHER_5 = "#b0595f"
    DIRECT = "#8e99a5"
    BAND = "#edf1f5"
    GOOD = "#0e7a5c"
    BAD = "#bf3f0b"
    UNSURE = "#96690a"

    @property
    def variable(self) -> str:
        """Its name in style sheets."""
        return "--" + self.name.lower().replace("_", "-")


_OTHERS = (Colour.OTHER_1, Colour.OTHER_2, Colour.OTHER_3, Colour.OTHER_4, Colour.OTHER_5)
_DIRECT = {"direct", "upstream"}

_STYLE: Mapping[str, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    # Names come from outside: a `$` in one is not a formula.
    "text.parse_math": False,
    "text.color": Colour.TEXT.value,
    "axes.edgecolor": Colour.RULE.value,
    "axes.labelcolor": Colour.QUIET.value,
    "axes.labelsize": 8.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": Colour.RULE.value,
    "grid.linewidth": 0.7,
    "xtick.color": Colour.RULE.value,
    "xtick.labelcolor": Colour.QUIET.value,
    "ytick.color": Colour.RULE.value,
    "ytick.labelcolor": Colour.QUIET.value,
    "ytick.left": False,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    # Text stays text: small, sharp, searchable, and in the page's own type.
    "svg.fonttype": "none",
    "svg.hashsalt": "penstock",
}


class Ink(msgspec.Struct, frozen=True):
    """How one subject is drawn everywhere."""

    colour: Colour
    width: float = 1.3
    dashes: str = "-"
    order: int = 2


Inks = Mapping[str, Ink]


def inks(names: Iterable[str], main: str) -> Inks:
    """An ink for each name: the main subject's stands out, the direct way steps back."""
    every = list(dict.fromkeys(names))
    others = [name for name in every if name != main and name not in _DIRECT]
    drawn = {name: Ink(_OTHERS[place % len(_OTHERS)]) for place, name in enumerate(others)}
    drawn |= {name: Ink(Colour.DIRECT, dashes="--", order=1) for name in every if name in _DIRECT}
    return drawn | {main: Ink(Colour.MAIN, 2.2, order=3)}


def styled() -> AbstractContextManager[None]:
    """The style of all plots, whatever the reader's own matplotlibrc says."""
    return style.context(["default", dict(_STYLE)])


def sheet(width_inches: float, height_inches: float) -> Drawing:
    """An empty drawing."""
    return Drawing(figsize=(width_inches, height_inches))


def panel(drawing: Drawing, *, left: float, top: float, width: float, height: float, title: str = "") -> Axes:
    """Axes at a place given in inches from the drawing's upper left corner."""
    wide, high = drawing.get_size_inches()
    axes = drawing.add_axes((left / wide, 1 - (top + height) / high, width / wide, height / high))
    axes.set_title(f"{title[:1].upper()}{title[1:]}")
    axes.tick_params(length=0, pad=5)
    return axes


class Entry(msgspec.Struct, frozen=True):
    """A subject in a panel's key: its name, and what its line says in numbers."""

    name: str
    colour: Colour
    facts: Sequence[str] = ()


def write_key(axes: Axes, entries: Iterable[Entry]) -> None:
    """Names and numbers right of the panel, each in the colour of its line."""
    down = 0.0
    for entry in entries:
        _beside(axes, down, entry.name, entry.colour, weight="bold")
        for fact in entry.facts:
            down += 11
            _beside(axes, down, fact, Colour.QUIET, weight="normal")
        down += 18


def _beside(axes: Axes, down: float, text: str, colour: Colour, *, weight: str) -> None:
    axes.annotate(
        text,
        (1, 1),
        xycoords="axes fraction",
        xytext=(14, -down),
        textcoords="offset points",
        va="top",
        color=colour,
        weight=weight,
        annotation_clip=False,
    )


def to_svg(drawing: Drawing, name: str) -> str:
    """The drawing as an <svg> element to stand in a page, the same for the same drawing.

    name: unique in the page; it goes before all ids. Colours become the page's variables.
    """
    text = io.StringIO()
    # Without metadata there is no date, and no address of a vocabulary, in the picture.
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with styled():
        drawing.savefig(text, format="svg", metadata=nothing, transparent=True)
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"| (width|height)="[\d.]+pt"', "", svg)
    svg = re.sub(r'((?: id="|"#|url\(#))', rf"\g<1>{name}-", svg)
    for colour in Colour:
        svg = svg.replace(colour.value, f"var({colour.variable}, {colour.value})")
    return svg.strip()


def to_png(drawing: Drawing, path: Path) -> Path:
    """Write the drawing at twice the usual resolution, on white, in as many colours as it needs."""
    whole = io.BytesIO()
    with styled():
        drawing.savefig(whole, format="png", dpi=_PNG_DPI, facecolor=Colour.PAGE)
    with Image.open(whole) as image:
        image.convert("RGB").quantize(_PNG_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    return path
