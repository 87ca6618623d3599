"""A flame graph as one HTML page that needs nothing else: no script from elsewhere, no server. Pure.

Roots stand on top, and what they called hangs below. A box is as wide as its share of all CPU time;
its colour says whose code it is. Hovering tells the share, clicking widens a box to the whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Self

from benchmarks.profiling.costs import room_costs
from benchmarks.profiling.rooms import KERNEL, OTHER, OUTSIDE, PYTHON, STANDARD_LIBRARY, room
from benchmarks.profiling.stacks import Frame, Stack

_ROW_PX = 19
_LEAST_SHARE = 0.0005  # under half a pixel of a wide screen
# By room, percent lighter than the others.
_GREYS = {KERNEL: 0, OUTSIDE: -6, PYTHON: 6, STANDARD_LIBRARY: 6, OTHER: 10}

_STYLE = """\
:root { color-scheme: light dark; --page: #fff; --ink: #1c1c1c; --quiet: #666; --light: 78%; --strong: 75%; }
@media (prefers-color-scheme: dark) { :root { --page: #191919; --ink: #eee; --quiet: #999; --light: 30%;
  --strong: 50%; } }
body { margin: 16px; background: var(--page); color: var(--ink); font: 13px/1.5 system-ui, sans-serif; }
h1 { font-size: 17px; margin: 0; }
p { margin: 2px 0 10px; color: var(--quiet); }
ul { margin: 0 0 12px; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; }
li i { display: inline-block; width: 11px; height: 11px; margin-right: 5px; border-radius: 2px; }
#graph { position: relative; overflow: hidden; }
#graph button { position: absolute; box-sizing: border-box; height: 18px; padding: 0 3px; border: 0;
  border-right: 1px solid var(--page); border-radius: 2px; background: var(--hue); color: var(--ink);
  font: 11px/18px ui-monospace, monospace; text-align: left; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; cursor: pointer; }
#graph button:hover, #graph button:focus-visible { outline: 1px solid var(--ink); outline-offset: -1px; }
#graph button.narrow { padding: 0; font-size: 0; }
#graph button.around { opacity: 0.55; }
"""

# Left and width are percentages of all time (data-x, data-w); zooming maps one box's range to 0 … 100.
_SCRIPT = """\
const graph = document.getElementById("graph");
const boxes = [...graph.children].map(box => ({ box, x: +box.dataset.x, w: +box.dataset.w }));
let shown = [0, 100];
function zoom(from, width) {
  shown = [from, width];
  for (const { box, x, w } of boxes) {
    const left = Math.max((x - from) / width * 100, 0);
    const right = Math.min((x + w - from) / width * 100, 100);
    box.hidden = right - left < 0.05;
    box.style.left = left + "%";
    box.style.width = right - left + "%";
    box.classList.toggle("narrow", (right - left) * graph.clientWidth < 1800);
    box.classList.toggle("around", w > width + 1e-9);
  }
}
graph.addEventListener("click", event => {
  const box = event.target.closest("button");
  if (box) zoom(+box.dataset.x, +box.dataset.w);
});
document.addEventListener("keydown", event => { if (event.key === "Escape") zoom(0, 100); });
addEventListener("resize", () => zoom(...shown));
zoom(0, 100);
"""


class Box:
    """A function in one place of the graph: all time that was spent in it or below it, called from there."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.seconds = 0.0
        self.below: dict[str, Self] = {}

    def add(self, frames: Sequence[Frame], seconds: float) -> None:
        """Add one stack's time here and along `frames`, which are called from here."""
        box = self
        box.seconds += seconds
        for frame in frames:
            box = box.below.setdefault(frame.function, type(self)(frame))
            box.seconds += seconds


def tree(stacks: Sequence[Stack]) -> Box:
    """All stacks joined from their roots on, under one box that is called `all`."""
    whole = Box(Frame("all"))
    for stack in stacks:
        whole.add(stack.frames, stack.seconds)
    return whole


def flame_graph(stacks: Sequence[Stack], title: str, subtitle: str = "") -> str:
    """The page. Boxes of less than 0.05 % are left out. An empty profile gives a page that says so."""
    whole, costs = tree(stacks), room_costs(stacks)
    colours = palette(cost.name for cost in costs)
    body = _graph(whole, colours) if whole.seconds > 0 else "<p>No CPU time was spent.</p>"
    legend = "".join(
        f'<li><i style="background: {colours[cost.name]}"></i>{escape(cost.name)} {cost.self_share:.1%}</li>'
        for cost in costs
        if cost.self_share >= _LEAST_SHARE
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"<style>\n{_STYLE}</style>\n<h1>{escape(title)}</h1>\n<p>{escape(subtitle)}</p>\n<ul>{legend}</ul>\n"
        f"{body}\n</html>\n"
    )


def palette(rooms: Iterable[str]) -> dict[str, str]:
    """A background for each room: grey for what can't be changed here, warm for the service, cold for others.

    Hues are spread evenly over the rooms that there are, in the order of their names.
    """
    names = sorted(set(rooms) - _GREYS.keys())
    service = [name for name in names if name.startswith("service")]
    others = [name for name in names if name not in service]
    hues = {name: 80 * at / len(service) for at, name in enumerate(service)}
    hues |= {name: 130 + 190 * at / len(others) for at, name in enumerate(others)}
    colours = {name: f"hsl({hue:.0f} var(--strong) var(--light))" for name, hue in hues.items()}
    return colours | {name: f"hsl(220 12% calc(var(--light) + {more}%))" for name, more in _GREYS.items()}


def _graph(whole: Box, colours: Mapping[str, str]) -> str:
    placed = list(_placed(whole, 0.0, 0, whole.seconds))
    rows = "".join(
        _button(box, left, box.seconds / whole.seconds, depth, colours) for box, left, depth in placed
    )
    height_px = (max(depth for _, _, depth in placed) + 1) * _ROW_PX
    return f'<div id="graph" style="height: {height_px}px">\n{rows}</div>\n<script>\n{_SCRIPT}</script>'


def _placed(box: Box, left: float, depth: int, whole_seconds: float) -> Iterator[tuple[Box, float, int]]:
    """A box and those below it, the widest first: each with its left edge (0 to 1) and its depth."""
    if box.seconds < _LEAST_SHARE * whole_seconds:
        return
    yield box, left, depth
    for below in sorted(box.below.values(), key=lambda each: (-each.seconds, each.frame.function)):
        yield from _placed(below, left, depth + 1, whole_seconds)
        left += below.seconds / whole_seconds


def _button(box: Box, left: float, share: float, depth: int, colours: Mapping[str, str]) -> str:
    x, width = f"{left * 100:.3f}", f"{share * 100:.3f}"
    hint = f"{box.frame.function}\n{share:.2%} of all CPU, {box.seconds:.3f} s"
    hue = colours.get(room(box.frame), colours[OTHER])
    place = f"left: {x}%; width: {width}%; top: {depth * _ROW_PX}px; --hue: {hue}"
    return (
        f'<button data-x="{x}" data-w="{width}" title="{escape(hint)}" style="{place}">'
        f"{escape(box.frame.name)}</button>\n"
    )
