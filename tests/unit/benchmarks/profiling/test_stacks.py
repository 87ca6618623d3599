"""Reading what py-spy writes, and whose code a frame is."""

import pytest

from benchmarks.profiling.rooms import charged, is_native, room
from benchmarks.profiling.stacks import Frame, Sample, parse_frame, parse_samples

GRANIAN = "granian/_granian.cpython-311-x86_64-linux-gnu.so"


@pytest.mark.parametrize(
    ("label", "frame"),
    [
        pytest.param(
            "Viewer._push (service/http/viewer.py:110)",
            Frame("Viewer._push", "service/http/viewer.py", 110),
            id="a-method",
        ),
        pytest.param("write (libc.so.6)", Frame("write", "libc.so.6"), id="a-function-of-a-library"),
        pytest.param(
            "Cache::get(int, char const*) (cache.cpp:7)",
            Frame("Cache::get(int, char const*)", "cache.cpp", 7),
            id="a-name-with-brackets",
        ),
        pytest.param(
            "_find (<frozen importlib._bootstrap>:241)",
            Frame("_find", "<frozen importlib._bootstrap>", 241),
            id="a-frozen-module",
        ),
        pytest.param(
            f"0x7f7536a63ff3 ({GRANIAN})", Frame("native code", GRANIAN), id="an-address-is-no-name"
        ),
        pytest.param("0x7 (?)", Frame("native code", "?"), id="nothing-known"),
        pytest.param("something", Frame("something"), id="a-bare-name"),
    ],
)
def test_frames(label: str, frame: Frame) -> None:
    assert parse_frame(label) == frame


def test_the_name_in_tables_has_no_line() -> None:
    """So that all lines of a function are one row."""
    functions = [parse_frame(f"f (a.py:{line})").function for line in (1, 2)]
    assert functions == ["f (a.py)", "f (a.py)"]


@pytest.mark.parametrize(
    ("line", "samples"),
    [
        pytest.param(
            "thread (7): MainThread;main (a.py:1);f (b.py:2) 3",
            [Sample(7, "MainThread", (Frame("main", "a.py", 1), Frame("f", "b.py", 2)), 3)],
            id="a-named-thread",
        ),
        pytest.param("thread (0x7F) 1", [Sample(127, "", (), 1)], id="a-thread-without-name-and-frames"),
        pytest.param(
            'process 5:"python -c a; b";process 6:"x";thread (7): T;f (b.py:2) 3',
            [Sample(7, "T", (Frame("f", "b.py", 2),), 3)],
            id="processes-are-left-out-with-whatever-their-commands-hold",
        ),
        pytest.param(
            f"thread (7): T;0x1 ({GRANIAN});0x2 ({GRANIAN});write (libc.so.6) 2",
            [Sample(7, "T", (Frame("native code", GRANIAN), Frame("write", "libc.so.6")), 2)],
            id="functions-without-names-in-a-row-are-one",
        ),
        pytest.param(
            'process 5:"python -c \nimport os; a\nwhile b 1\n";thread (7): T;f (b.py:2) 3\n',
            [Sample(7, "T", (Frame("f", "b.py", 2),), 3)],
            id="a-command-of-several-lines",
        ),
        pytest.param("\n", [], id="an-empty-line"),
    ],
)
def test_samples(line: str, samples: list[Sample]) -> None:
    assert parse_samples(line) == samples


def test_a_stack_without_a_count_is_not_one() -> None:
    """Better no profile than a wrong one."""
    with pytest.raises(ValueError, match="many"):
        parse_samples("thread (7): T;f (b.py:2) many")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        pytest.param("f (service/http/viewer.py:1)", "service/http", id="a-room-of-the-service"),
        pytest.param("f (service/grace.py:1)", "service/grace", id="a-module-of-the-service"),
        pytest.param("f (litestar/routes/http.py:1)", "litestar", id="a-dependency"),
        pytest.param("f (asyncio/base_events.py:1)", "standard library", id="a-package-that-python-brings"),
        pytest.param("f (threading.py:1)", "standard library", id="a-module-that-python-brings"),
        pytest.param("f (<frozen posixpath>:1)", "standard library", id="a-frozen-one"),
        pytest.param(f"0x1 ({GRANIAN})", "granian", id="a-dependency-in-rust"),
        pytest.param("f (msgspec/_core.cpython-311-x86_64-linux-gnu.so)", "msgspec", id="a-dependency-in-c"),
        pytest.param("Loop__run (loop.c:20313)", "uvloop", id="uvloop-by-its-file"),
        pytest.param("uv__io_poll (linux.c:9)", "uvloop", id="libuv-by-its-prefix"),
        pytest.param("uv__queue_empty (queue.h:33)", "uvloop", id="libuv-in-a-header"),
        pytest.param("llhttp__on_body (api.c:1)", "httptools", id="llhttp-by-its-prefix"),
        pytest.param("feed_data (parser.c:1)", "httptools", id="httptools-by-its-file"),
        pytest.param(
            "task_step (_asynciomodule.c:2990)", "Python itself", id="python-with-debug-information"
        ),
        pytest.param("gc_collect_main (libpython3.11.so.1.0)", "Python itself", id="python-as-a-library"),
        pytest.param("gc_collect_main (python3.11)", "Python itself", id="python-in-one-piece"),
        pytest.param("write (libc.so.6)", "kernel and libc", id="a-system-call"),
        pytest.param("0x1 ([vdso])", "kernel and libc", id="the-kernels-page"),
        pytest.param("tokio-rt-worker (outside Python)", "outside Python", id="a-thread-without-python"),
        pytest.param("<module> (penstock:10)", "other", id="a-script"),
        pytest.param("MainThread", "other", id="a-thread"),
    ],
)
def test_rooms(label: str, name: str) -> None:
    assert room(parse_frame(label)) == name


@pytest.mark.parametrize(
    ("label", "native"),
    [
        pytest.param("f (service/http/viewer.py:1)", False, id="python"),
        pytest.param("<module> (penstock:10)", False, id="a-script-without-suffix"),
        pytest.param("f (<frozen posixpath>:1)", False, id="frozen-python"),
        pytest.param("f (loop.c:1)", True, id="c"),
        pytest.param("f (lib.rs:1)", True, id="rust"),
        pytest.param("write (libc.so.6)", True, id="a-library"),
        pytest.param(f"0x1 ({GRANIAN})", True, id="an-extension"),
        pytest.param("f (python3.11)", True, id="the-interpreter"),
        pytest.param("0x1 ([vdso])", True, id="the-kernels-page"),
        pytest.param("0x7 (?)", True, id="unknown"),
    ],
)
def test_machine_code(label: str, native: bool) -> None:
    assert is_native(parse_frame(label)) is native


@pytest.mark.parametrize(
    ("labels", "at"),
    [
        pytest.param(["T", "f (service/ids.py:1)"], 1, id="the-leaf"),
        pytest.param(
            ["T", "f (service/ids.py:1)", "dict_new (dictobject.c:1)", "malloc_one (obmalloc.c:1)"],
            1,
            id="what-python-does-for-a-function-is-charged-to-it",
        ),
        pytest.param(["T", "f (service/ids.py:1)", "getpid (libc.so.6)"], 2, id="the-kernel-for-itself"),
        pytest.param(["T", "collect (gcmodule.c:1)"], 1, id="python-for-nobody-is-charged-to-python"),
        pytest.param(["T"], 0, id="a-thread-of-which-no-more-is-known"),
    ],
)
def test_who_is_charged(labels: list[str], at: int) -> None:
    assert charged([parse_frame(label) for label in labels]) == at
