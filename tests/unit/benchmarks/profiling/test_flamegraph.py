"""The flame graph: every second has its place, and the page needs nothing but itself."""

import itertools
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.profiling.flamegraph import flame_graph, palette, tree
from benchmarks.profiling.stacks import Frame, Stack, parse_frame


def stack(seconds: float, *labels: str) -> Stack:
    return Stack(tuple(parse_frame(label) for label in labels), seconds)


class Drawn(msgspec.Struct, frozen=True):
    """A box as the browser gets it: edges in percent of all time, the row from the top."""

    name: str
    left: float
    width: float
    row: int
    hint: str


class Page(HTMLParser):
    """Reads the boxes, the tags and the addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.boxes: list[Drawn] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self._box: dict[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a box until its text comes."""
        found = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.addresses += [value for name, value in found.items() if name in {"src", "href"}]
        if tag == "button":
            self._box = found

    def handle_data(self, data: str) -> None:
        """A box's text is its name."""
        if self._box is not None:
            top_px = float(self._box["style"].partition("top: ")[2].partition("px")[0])
            left, width = float(self._box["data-x"]), float(self._box["data-w"])
            self.boxes.append(Drawn(data, left, width, round(top_px / 19), self._box["title"]))
            self._box = None


def test_boxes_lie_below_their_callers() -> None:
    """The widest first; equal beginnings are one box, whatever the line."""
    stacks = [
        stack(1, "T", "f (a.py:1)", "g (b.py:1)"),
        stack(2, "T", "f (a.py:2)", "h (b.py:1)"),
        stack(1, "T", "k (a.py:1)"),
    ]
    drawn = [(box.name, box.left, box.width, box.row) for box in Page(flame_graph(stacks, "t")).boxes]
    assert drawn == [
        ("all", 0, 100, 0),
        ("T", 0, 100, 1),
        ("f", 0, 75, 2),
        ("h", 0, 50, 3),
        ("g", 50, 25, 3),
        ("k", 75, 25, 2),
    ]


def test_hovering_tells_who_and_how_much() -> None:
    """The whole name with its file, the share and the seconds."""
    [_, box] = Page(flame_graph([stack(1.5, "f (service/chat/a.py:1)")], "t")).boxes
    assert box.hint == "f (service/chat/a.py)\n100.00% of all CPU, 1.500 s"


def test_what_can_not_be_seen_is_not_drawn() -> None:
    """A box of less than half a pixel; the others keep their places."""
    stacks = [stack(1.0, "f (a.py:1)"), stack(0.0001, "g (a.py:1)")]
    assert [box.name for box in Page(flame_graph(stacks, "t")).boxes] == ["all", "f"]


def test_names_are_text_and_not_markup() -> None:
    """`<module>` and whatever a title holds."""
    page = Page(flame_graph([stack(1, "<module> (a&b.py:1)")], "<script>alert(1)</script>", '"<b>"'))
    assert page.boxes[-1].name == "<module>"
    assert page.boxes[-1].hint.startswith("<module> (a&b.py)")
    assert page.tags == {
        "html",
        "meta",
        "title",
        "style",
        "h1",
        "p",
        "ul",
        "li",
        "i",
        "div",
        "button",
        "script",
    }


def test_the_page_needs_nothing_else() -> None:
    """No address in it, whole in one file."""
    text = flame_graph([stack(1, "f (a.py:1)")], "t")
    assert Page(text).addresses == []
    assert "//" not in text.replace("<!doctype html>", "")
    assert text.count("<script>") == 1


def test_an_empty_profile_says_so() -> None:
    """Instead of an empty page."""
    assert "No CPU time was spent." in flame_graph([], "t")


def test_the_legend_names_rooms_with_their_own_shares() -> None:
    """The dearest first, none without a share of its own."""
    stacks = [stack(3, "f (service/chat/a.py:1)", "write (libc.so.6)"), stack(1, "f (service/chat/a.py:1)")]
    stacks.append(stack(4, "g (granian/x.py:1)", "write (libc.so.6)"))
    text = flame_graph(stacks, "t")
    assert text.index("kernel and libc 87.5%") < text.index("service/chat 12.5%")
    assert "granian 0.0%" not in text


def test_each_room_has_a_colour_of_its_own() -> None:
    """Warm for the service, cold for what it stands on, grey for what can't be changed."""
    rooms = ["service/chat", "service/http", "granian", "uvloop", "kernel and libc"]
    colours = palette(rooms)
    assert len({colours[name] for name in rooms}) == len(rooms)
    hues = {name: int(colours[name].removeprefix("hsl(").split(maxsplit=1)[0]) for name in rooms[:4]}
    assert all((hue < 90) == name.startswith("service/") for name, hue in hues.items())


@pytest.mark.parametrize("rooms", [[], ["kernel and libc"]], ids=["no-room", "only-grey"])
def test_a_palette_of_few(rooms: list[str]) -> None:
    assert all(colour.startswith("hsl(220 12%") for colour in palette(rooms).values())


LABELS = st.sampled_from(["f (a.py:1)", "g (a.py:1)", "h (service/b.py:1)", "write (libc.so.6)"])


@given(
    st.lists(
        st.tuples(st.floats(0.01, 10), st.lists(LABELS, min_size=1, max_size=5)), min_size=1, max_size=10
    )
)
def test_children_lie_within_and_beside_each_other(made: list[tuple[float, list[str]]]) -> None:
    """Every box inside the one above it, and no two of a row upon each other."""
    boxes = Page(flame_graph([stack(seconds, *labels) for seconds, labels in made], "t")).boxes
    rounding = 0.002
    for box in boxes[1:]:
        above = [each for each in boxes if each.row == box.row - 1]
        assert any(
            each.left - rounding <= box.left and box.left + box.width <= each.left + each.width + rounding
            for each in above
        )
    for row in {box.row for box in boxes}:
        edges = sorted((box.left, box.left + box.width) for box in boxes if box.row == row)
        assert all(left[1] <= right[0] + rounding for left, right in itertools.pairwise(edges))


def test_the_tree_adds_up() -> None:
    """A box has its own time and that of all below it."""
    whole = tree([stack(1, "f", "g"), stack(2, "f"), stack(4, "k")])
    assert (whole.seconds, whole.frame) == (7, Frame("all"))
    assert {name: box.seconds for name, box in whole.below.items()} == {"f": 3, "k": 4}
    assert whole.below["f"].below["g"].seconds == 1
