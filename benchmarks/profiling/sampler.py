"""Recording where a running gateway spends its CPU, with py-spy and the kernel's accounts.

How py-spy is asked, and why (tried on the gateway under paced and full load, beside perf):

* `--gil`: only threads that hold the interpreter's lock. By itself py-spy takes threads that wait in a
  system call for busy ones: of a paced load it saw eight times the time that was spent. A waiting
  loop doesn't hold the lock, so idle time counts nowhere; and the gateway is held up far less.
* `--native`: also frames in C, so that the kernel, uvloop, msgspec and Granian stand beside the
  functions that call them instead of being taken for them.
* `--threads`: so that each thread's samples can be weighed with its own account (`weighing`), which
  also shows the threads that py-spy can't see: Granian's runtime, a fifth to a third of all CPU.
"""

import math
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.lab.subjects import Unavailable
from benchmarks.profiling.stacks import Sample, Stack, parse_samples
from benchmarks.profiling.threads import read_threads, spent
from benchmarks.profiling.tidying import tidied
from benchmarks.profiling.weighing import ThreadCpu, weigh

# To attach, and to read what debug information there is, takes some seconds on a busy machine.
_ATTACH_LIMIT_SECONDS = 60
_HOW = ("--gil", "--native", "--threads", "--subprocesses", "--format", "raw")
_BEHIND = "behind in sampling"
_REFUSED = ("permission denied", "operation not permitted")


def find_py_spy() -> Path:
    """py-spy beside this interpreter, or on PATH. Raises Unavailable."""
    beside = Path(sys.executable).with_name("py-spy")
    on_path = shutil.which("py-spy")
    if not beside.exists() and on_path is None:
        raise Unavailable("py-spy is missing; `just setup` installs it.")
    return beside if beside.exists() or on_path is None else Path(on_path)


def record_stacks(pid: int, seconds: int, rate_hz: int = 100, py_spy: Path | None = None) -> list[Stack]:
    """Where the process tree of `pid` spent its CPU, over `seconds` of steady load; tidied.

    Blocks that long and some seconds more, over which the load must go on: call it in a thread.
    The sum of the stacks is what the tree spent in `seconds`. Raises Unavailable where py-spy is
    missing or refused, or where there is no Python in the tree.
    """
    program = py_spy or find_py_spy()
    before, began_at = read_threads(pid), time.monotonic()
    samples, period_seconds = _record(program, pid, seconds, rate_hz)
    threads, elapsed = spent(before, read_threads(pid)), time.monotonic() - began_at
    sampled = [_scaled(thread, seconds / elapsed) for thread in threads]
    return tidied(weigh(samples, sampled, period_seconds))


def _scaled(thread: ThreadCpu, factor: float) -> ThreadCpu:
    """The part of an account that fell into the time that was sampled, the load being steady."""
    return msgspec.structs.replace(
        thread, user_seconds=thread.user_seconds * factor, system_seconds=thread.system_seconds * factor
    )


def _record(program: Path, pid: int, seconds: int, rate_hz: int) -> tuple[list[Sample], float]:
    """The samples, and how long each stands for at most, in seconds."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        raw = Path(directory) / "raw.txt"
        length = ["--duration", str(seconds), "--rate", str(rate_hz)]
        command = [str(program), "record", *_HOW, *length, "--pid", str(pid), "--output", str(raw)]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=seconds + _ATTACH_LIMIT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"py-spy could not record: {error}") from error
        if done.returncode != 0:
            raise Unavailable(_why_not(done.stdout))
        # Where it could not keep up nobody knows how often it looked: then a thread's samples stand for all.
        period_seconds = math.inf if _BEHIND in done.stdout else 1 / rate_hz
        return parse_samples(raw.read_text(errors="replace")), period_seconds


def _why_not(said: str) -> str:
    words = said.partition("Stack backtrace:")[0].strip()
    if any(refusal in said.lower() for refusal in _REFUSED):
        return (
            f"py-spy may not look into the process ({words}). Reading another process needs the ptrace "
            "permission: run as root, or `sudo sysctl kernel.yama.ptrace_scope=0` until the next boot; in a "
            "container, start it with `--cap-add SYS_PTRACE`."
        )
    return f"py-spy could not record: {words}"
