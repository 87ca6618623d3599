"""What a run amounts to, in sentences."""

import msgspec
import pytest

from benchmarks.record import Comparison, Run, Verdict
from benchmarks.report import summary
from benchmarks.report.tables import Tone
from tests.unit.benchmarks.report.examples import AGAINST, CPU, EMPTY, FULL, MINIMAL, compared


def _against(*comparisons: Comparison) -> Run:
    return msgspec.structs.replace(AGAINST, comparisons=comparisons)


_WITHOUT_NGINX = msgspec.structs.replace(CPU, blocks={"gateway": [[126.0]]})
_SLOWER = compared("json.cpu", 1.102, 0.01, Verdict.SLOWER)
_FASTER = compared("json.pace", 0.91, 0.01, Verdict.FASTER)
_SAME = compared("json.pace", 1.0, 0.01, Verdict.SAME)
_UNSURE = compared("latency.p50", 1.12, 0.2, Verdict.CANT_TELL)


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        pytest.param(
            _against(_SLOWER, _SAME),
            "head is slower than base in 1 of 2 figures: JSON: CPU per request +10.2 %",
            id="slower",
        ),
        pytest.param(
            _against(_SLOWER, _FASTER, _UNSURE),
            "head is slower than base in 1 of 3 figures: JSON: CPU per request +10.2 %; "
            "faster in 1: JSON: requests/s −9.0 %; 1 can't tell",
            id="some-of-each",
        ),
        pytest.param(
            _against(_SLOWER),
            "head is slower than base in 1 of 1 figure: JSON: CPU per request +10.2 %",
            id="the-only-one",
        ),
        pytest.param(
            _against(_SAME, _UNSURE),
            "no figure is slower than its threshold allows; 1 can't tell",
            id="unsure",
        ),
        pytest.param(_against(_SAME), "no figure is slower than its threshold allows", id="all-the-same"),
        pytest.param(FULL, "", id="nothing-was-compared"),
    ],
)
def test_verdict(run: Run, sentence: str) -> None:
    assert summary.verdict(run) == sentence


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        pytest.param(
            FULL,
            "gateway keeps 2 of 3 bars, but not “added latency, JSON, p50” (0.720 ms, bar ≤ 0.6 ms)",
            id="one-missed",
        ),
        pytest.param(MINIMAL, "gateway keeps 1 of 1 bars", id="all-kept"),
        pytest.param(
            msgspec.structs.replace(MINIMAL, figures=(_WITHOUT_NGINX,)),
            "no bar of gateway can be judged",
            id="open-without-nginx",
        ),
        pytest.param(EMPTY, "", id="no-bars"),
    ],
)
def test_bars(run: Run, sentence: str) -> None:
    assert summary.bars(run) == sentence


@pytest.mark.parametrize(
    ("run", "tones"),
    [
        pytest.param(FULL, [Tone.BAD, Tone.BAD], id="errors-come-before-bars"),
        pytest.param(MINIMAL, [Tone.GOOD], id="bars-kept"),
        pytest.param(AGAINST, [Tone.BAD], id="a-comparison-is-about-the-difference"),
        pytest.param(_against(_SAME, _UNSURE), [Tone.UNSURE], id="unsure"),
        pytest.param(_against(_FASTER, _SAME), [Tone.GOOD], id="none-slower"),
        pytest.param(EMPTY, [], id="nothing-to-judge"),
    ],
)
def test_conclusions(run: Run, tones: list[Tone]) -> None:
    assert [tone for _, tone in summary.conclusions(run)] == tones


def test_errors_are_counted() -> None:
    """Each kind adds up, and one is one."""
    assert summary.failures(msgspec.structs.replace(FULL, errors={"a": 3, "b": 1200})).startswith(
        "1,203 wrong answers"
    )
    assert summary.failures(msgspec.structs.replace(FULL, errors={"a": 1})).startswith("1 wrong answer,")


def test_the_headline_says_where_and_what() -> None:
    """Command, how long, subjects, machine, versions; and the speed once only."""
    assert summary.headline(FULL) == [
        "just bench full · 2026-11-25 09:30:38 UTC · 512 s",
        "gateway 33e56c4+ · nginx 1.22.1",
        "2 cores of AMD EPYC, 8.1 GB, Linux 6.18.44, Python 3.11.7",
        "litestar 2.25.0, msgspec 0.22.0",
    ]
    assert summary.headline(AGAINST)[0].startswith("just bench against v0.3.0 · daily · ")


def test_a_note_is_said_once() -> None:
    """Two figures of one round often have the same to say."""
    noted = msgspec.structs.replace(FULL.figures[0], notes=("others were at work",))
    assert summary.notes(msgspec.structs.replace(FULL, figures=(noted, noted))) == [
        "JSON: others were at work"
    ]
