"""`just bench load` and `just bench upstream`, by themselves and together."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.lab.processes import free_port
from benchmarks.load.command import load, summary
from benchmarks.load.tally import Tally


@contextmanager
def upstream(*arguments: str) -> Iterator[int]:
    """The mock provider as a process of its own, on a free port, which it says when it is ready."""
    command = [sys.executable, "-m", "benchmarks.upstream", "--port", "0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield int(process.stderr.readline().rpartition(":")[2].partition("/")[0])
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def right() -> Iterator[int]:
    """The port of a mock provider that does what it is asked to."""
    with upstream() as port:
        yield port


def loaded(port: int, *arguments: str) -> tuple[int, dict[str, object]]:
    """The exit status, and what was printed."""
    command = ["--url", f"http://127.0.0.1:{port}/v1", "--seconds", "0.1", "--connections", "4", *arguments]
    done = CliRunner().invoke(load, command)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, msgspec.json.decode(done.stdout, type=dict[str, object])


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="json"),
        pytest.param(("--tokens", "5", "--interval-ms", "1"), id="streams"),
        pytest.param(("--rate", "100"), id="open-loop"),
        pytest.param(("--dialect", "anthropic", "--tokens", "1", "--interval-ms", "0"), id="messages"),
    ],
)
def test_right_answers_are_a_success(right: int, arguments: tuple[str, ...]) -> None:
    """Exit status 0, and one JSON object with what was seen."""
    status, told = loaded(right, *arguments)
    assert (status, told["errors"]) == (0, {})
    assert isinstance(told["answers"], int) and told["answers"] >= 4
    assert isinstance(told["latency_ms"], dict) and told["latency_ms"]["p99.9"] > 0
    assert bool(told["first_event_ms"]) == ("--tokens" in arguments)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param("swapped", "swapped order", id="swapped"),
        pytest.param("refused", "status 500", id="refused"),
    ],
)
def test_a_wrong_answer_is_exit_status_1(fault: str, kind: str) -> None:
    """With its name, how often, and an example; nothing else is told of it."""
    with upstream("--fault", fault) as port:
        status, told = loaded(port, "--tokens", "9", "--interval-ms", "0")
    assert (status, told["answers"], told["errors"], told["latency_ms"]) == (1, 0, {kind: 4}, {})


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://192.0.2.7:9000/v1", id="another-machine"),
        pytest.param("http://example.com:9000/v1", id="a-name"),
        pytest.param("https://127.0.0.1:9000/v1", id="tls"),
        pytest.param("http://0.0.0.0:9000/v1", id="every-interface"),
        pytest.param("http://127.0.0.1.example.com:9000/v1", id="a-name-that-begins-like-loopback"),
        pytest.param("http://127.0.0.1@example.com:9000/v1", id="a-user-that-looks-like-loopback"),
        pytest.param("http://127.0.0.1/v1", id="no-port"),
        pytest.param("nonsense", id="no-url"),
    ],
)
def test_load_goes_to_loopback_only(url: str) -> None:
    """Anything else is refused before a connection is made."""
    done = CliRunner().invoke(load, ["--url", url])
    assert done.exit_code == 2
    assert url in done.stderr


def test_a_port_where_nobody_listens_is_exit_status_2() -> None:
    """It isn't a wrong answer, and no traceback."""
    done = CliRunner().invoke(load, ["--url", f"http://127.0.0.1:{free_port()}/v1", "--seconds", "0.1"])
    assert done.exit_code == 2
    assert "nobody answers" in done.stderr


@pytest.mark.parametrize(
    ("cpu_seconds", "late_ms", "was"),
    [
        pytest.param(1.0, 0.1, False, id="with-time-to-spare"),
        pytest.param(9.5, 0.1, True, id="a-full-core"),
        pytest.param(1.0, 20.0, True, id="behind-its-schedule"),
    ],
)
def test_the_generator_says_when_it_was_the_bottleneck(cpu_seconds: float, late_ms: float, was: bool) -> None:
    tally = Tally()
    tally.late.record_ns(round(late_ms * 1e6))
    assert summary(tally, 10.0, cpu_seconds)["generator_was_bottleneck"] is was


def test_nothing_seen_is_told_as_nothing() -> None:
    """No percentile of no duration."""
    told = summary(Tally(), 1.0, 0.0)
    assert (told["answers"], told["latency_ms"], told["generator_was_bottleneck"]) == (0, {}, False)
