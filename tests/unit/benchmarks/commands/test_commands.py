"""`just bench` as it is typed: commands, options, mistakes, and the exit status."""

import asyncio
import io
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from benchmarks.analysis.verdicts import Thresholds
from benchmarks.commands import bench
from benchmarks.commands.prove import tallied
from benchmarks.commands.showing import ending, exit_status, keep, progress
from benchmarks.lab.processes import StartFailed
from benchmarks.lab.subjects import Unavailable
from benchmarks.record import Bar, Comparison, Figure, Kind, Run, Verdict
from benchmarks.report.saved import ResultsMissing, save, saved
from benchmarks.scenarios.catalogue import SCENARIOS
from tests.unit.benchmarks.report.examples import FULL

NAMES = [
    "against",
    "clean",
    "daily",
    "full",
    "load",
    "peers",
    "profile",
    "prove",
    "quick",
    "report",
    "upstream",
]


@pytest.fixture(autouse=True)
def _sigterm() -> Iterator[None]:
    """Commands have SIGTERM end a run as Ctrl-C does."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def typed(*words: str) -> tuple[int, str]:
    """The exit status and all that was said."""
    done = CliRunner().invoke(bench, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output


def test_there_are_as_many_commands_as_are_tested() -> None:
    """A new one gets its help looked at."""
    assert sorted(bench.commands) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_command_says_what_it_is_for(name: str) -> None:
    """In a sentence in the list of all, and with its options in its own help."""
    status, listed = typed("--help")
    assert status == 0
    line = next(line for line in listed.splitlines() if line.split()[:1] == [name])
    assert line.rstrip().endswith((".", "..."))
    status, own = typed(name, "--help")
    assert status == 0
    assert f"{name} [OPTIONS]" in own


@pytest.mark.parametrize(
    ("words", "command"),
    [
        pytest.param((), "daily", id="nothing-is-the-daily-run"),
        pytest.param(("--scenario", "json"), "daily", id="options-are-the-daily-runs"),
        pytest.param(("--no-nginx", "--strict", "--no-page"), "daily", id="flags-too"),
        pytest.param(("quick", "--scenario", "json"), "quick", id="a-command-is-itself"),
        pytest.param(("full",), "full", id="another-command"),
    ],
)
def test_which_command_is_meant(words: tuple[str, ...], command: str) -> None:
    """Parsed, and not run."""
    with click.Context(bench) as context:
        bench.parse_args(context, list(words))
        left = [*context._protected_args, *context.args]
    assert left == [command, *(words if words[:1] != (command,) else words[1:])]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--scenario", "nothing"), "'nothing' is not one of", id="an-unknown-scenario"),
        pytest.param(("quick", "--scenario", "JSON"), "'JSON' is not one of", id="case-counts"),
        pytest.param(("nothing",), "nothing", id="an-unknown-command"),
        pytest.param(("--nothing",), "No such option", id="an-unknown-option"),
        pytest.param(("against", "no-such-revision"), "no-such-revision", id="an-unknown-revision"),
        pytest.param(("against", "--cpu", "0"), "0", id="a-threshold-of-nothing"),
        pytest.param(("against", "--speed", "slow"), "slow", id="an-unknown-speed"),
        pytest.param(("profile",), "Missing argument", id="a-profile-of-nothing"),
        pytest.param(("profile", "nothing"), "nothing", id="a-profile-of-an-unknown-load"),
        pytest.param(("prove", "--runs", "0"), "0", id="a-proof-of-nothing"),
        pytest.param(("peers", "--install", "nobody"), "nobody", id="an-unknown-peer"),
        pytest.param(("peers", "--url", "http://192.0.2.1:80/v1"), "192.0.2.1", id="another-machine"),
        pytest.param(("load", "--url", "http://192.0.2.1:80/v1"), "192.0.2.1", id="load-on-another-machine"),
        pytest.param(("report", "--results", "/nowhere"), "no saved run", id="nothing-to-report"),
        pytest.param(("upstream", "--fault", "nothing"), "nothing", id="an-unknown-fault"),
    ],
)
def test_mistakes_are_exit_status_2_and_said_plainly(words: tuple[str, ...], said: str) -> None:
    status, told = typed(*words)
    assert status == 2
    assert said in told
    assert "Traceback" not in told


def test_help_names_every_scenario() -> None:
    """For whoever doesn't remember them."""
    _, told = typed("daily", "--help")
    listed = "".join(told.partition("One of:")[2].partition(".")[0].split())
    assert listed == ",".join(SCENARIOS)


CPU = Figure(
    key="json.cpu",
    name="CPU",
    unit="µs",
    kind=Kind.CPU,
    blocks={"gateway": [[10.0]], "nginx": [[1.0]], "other": [[1.0]]},
)


def run_of(**members: object) -> Run:
    """A run without anything that would fail it, but for what is given."""
    plain: dict[str, object] = {
        "subjects": {"gateway": "abc", "nginx": "1.22"},
        "reference": "nginx",
        "figures": (CPU,),
        "comparisons": (),
        "errors": {},
        **members,
    }
    return msgspec.structs.replace(FULL, **plain)


def judged(verdict: Verdict) -> Comparison:
    return Comparison(
        key="json.cpu",
        subject="head",
        reference="base",
        ratio=1.2,
        low=1.1,
        high=1.3,
        threshold=0.05,
        verdict=verdict,
    )


def barred(limit: float, of_nginx: bool = False) -> Figure:
    return msgspec.structs.replace(CPU, bar=Bar(limit, of_nginx))


@pytest.mark.parametrize(
    ("run", "status", "strict_status"),
    [
        pytest.param(run_of(), 0, 0, id="all-right"),
        pytest.param(run_of(errors={"json, gateway: lost event": 1}), 1, 1, id="one-wrong-answer"),
        pytest.param(run_of(errors={"warm-up, gateway: status 500": 9}), 1, 1, id="wrong-while-warming-up"),
        pytest.param(run_of(comparisons=(judged(Verdict.SLOWER),)), 1, 1, id="slower"),
        pytest.param(
            run_of(comparisons=(judged(Verdict.FASTER), judged(Verdict.SLOWER))), 1, 1, id="one-is-enough"
        ),
        pytest.param(run_of(comparisons=(judged(Verdict.SAME),)), 0, 0, id="the-same"),
        pytest.param(run_of(comparisons=(judged(Verdict.FASTER),)), 0, 0, id="faster"),
        pytest.param(run_of(comparisons=(judged(Verdict.CANT_TELL),)), 0, 0, id="cant-tell-is-no-regression"),
        pytest.param(run_of(figures=(barred(5),)), 0, 1, id="a-bar-missed"),
        pytest.param(run_of(figures=(barred(20),)), 0, 0, id="a-bar-kept"),
        pytest.param(run_of(figures=(barred(7, of_nginx=True),)), 0, 1, id="a-bar-beside-nginx-missed"),
        pytest.param(run_of(figures=(barred(11, of_nginx=True),)), 0, 0, id="a-bar-beside-nginx-kept"),
        pytest.param(
            run_of(figures=(barred(7, of_nginx=True),), subjects={"gateway": "a"}, reference=None),
            0,
            1,
            id="nginx-was-measured-though-it-is-no-reference",
        ),
        pytest.param(
            run_of(
                figures=(msgspec.structs.replace(barred(7, of_nginx=True), blocks={"gateway": [[10.0]]}),),
                subjects={"gateway": "a"},
                reference=None,
            ),
            0,
            0,
            id="a-bar-beside-nginx-stays-open-without-it",
        ),
        pytest.param(
            run_of(figures=(barred(5),), subjects={"gateway": "a", "other": "b"}, reference="gateway"),
            0,
            0,
            id="bars-are-not-for-peers",
        ),
        pytest.param(run_of(unavailable={"guarded": "not yet"}), 0, 0, id="unavailable-is-no-failure"),
        pytest.param(run_of(figures=()), 0, 0, id="no-figures"),
    ],
)
def test_exit_status(run: Run, status: int, strict_status: int) -> None:
    assert (exit_status(run), exit_status(run, strict=True)) == (status, strict_status)


def raising(problem: BaseException) -> Callable[[], int]:
    def status() -> int:
        raise problem

    return status


def terminated() -> int:
    signal.raise_signal(signal.SIGTERM)
    return 0


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        pytest.param(lambda: 0, 0, "", id="right"),
        pytest.param(lambda: 1, 1, "", id="wrong"),
        pytest.param(
            raising(StartFailed("out of water\nits log")), 2, "out of water\nits log", id="no-start"
        ),
        pytest.param(raising(Unavailable("no revision")), 2, "no revision", id="unavailable"),
        pytest.param(raising(ResultsMissing("no run")), 2, "no run", id="no-results"),
        pytest.param(raising(KeyboardInterrupt()), 130, "", id="ctrl-c"),
        pytest.param(raising(asyncio.CancelledError()), 130, "", id="ctrl-c-inside-the-loop"),
        pytest.param(terminated, 130, "", id="sigterm-unwinds-as-ctrl-c-does"),
    ],
)
def test_how_a_command_ends(status: Callable[[], int], code: int, said: str) -> None:
    """Told plainly, without a traceback."""

    @click.command()
    def command() -> None:
        ending(status)

    done = CliRunner().invoke(command)
    assert isinstance(done.exception, SystemExit) or done.exit_code == 0
    assert (done.exit_code, said in done.output) == (code, True)


def test_progress_is_a_line_for_each_step_where_nobody_watches() -> None:
    """A log in CI, for instance."""
    console = Console(file=io.StringIO(), force_terminal=False)
    with progress(console) as tell:
        tell(0, 2, "json")
        tell(2, 2, "done")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "0/2 json\n2/2 done\n"


@pytest.mark.parametrize("width", [20, 44, 45, 80, 200])
def test_progress_fits_a_terminal(width: int) -> None:
    """Narrow ones too; names that are no scenario's are shown as they are."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    with progress(console) as tell:
        for name in (*SCENARIOS, "done"):
            tell(0, 2, name)


@pytest.mark.parametrize("page", [True, False], ids=["with-its-page", "without"])
def test_a_run_is_kept_where_it_should_be(page: bool, tmp_path: Path) -> None:
    """As a line among the others there, and what is said of its page is true."""
    console = Console(file=io.StringIO(), width=300)
    save(FULL, tmp_path)
    directory = keep(FULL, console, tmp_path, page=page)
    assert saved(tmp_path) == [FULL, FULL]
    assert (directory / "index.html").exists() is page
    assert isinstance(console.file, io.StringIO)
    assert ("index.html" in console.file.getvalue()) is page


def test_the_last_run_is_reported_again(tmp_path: Path) -> None:
    """From a directory of one's own."""
    complete = msgspec.structs.replace(FULL, scenarios=tuple(SCENARIOS))
    save(complete, tmp_path)
    status, told = typed("report", "--results", str(tmp_path))
    assert status == 0
    assert complete.figures[0].name in told
    assert len(list(tmp_path.glob("*/index.html"))) == 1


def test_verdicts_of_many_runs_are_counted_by_figure() -> None:
    """For the proof that a comparison can be believed."""
    runs = [run_of(comparisons=(judged(each),)) for each in (Verdict.SAME, Verdict.SAME, Verdict.SLOWER)]
    assert tallied(runs) == {"json.cpu": {Verdict.SAME: 2, Verdict.SLOWER: 1}}
    assert tallied([]) == {}


def test_percentages_are_taken_as_such() -> None:
    """`--cpu 5` is 5 %."""
    assert Thresholds.from_percents(5, 10) == Thresholds(cpu=0.05, latency=0.1)
