"""Whose code a frame is: a room of the service, a dependency, Python itself, the kernel. Pure."""

import re
import sys
from collections.abc import Sequence
from pathlib import PurePosixPath

from benchmarks.profiling.stacks import Frame

PYTHON = "Python itself"
KERNEL = "kernel and libc"
STANDARD_LIBRARY = "standard library"
OUTSIDE = "outside Python"
"""Also the file of a frame that stands for a whole thread, of which no more is known."""
OTHER = "other"

_PYTHON_FILE = re.compile(r".*\.py|<.*>")
_C_FILE = re.compile(r".*\.(?:c|h|cpp|pyx|rs)")
_NATIVE_FILE = re.compile(rf"{_C_FILE.pattern}|.*\.so[.\d]*|python[.\d]*|\[.*\]|\?")
_C_LIBRARIES = ("libc.", "libc-", "libm.", "ld-", "libpthread", "[vdso]")
# Whose functions are these, where debug information names a source file and not a library? By the prefix
# that libraries in C give their names, or by the file.
_BY_PREFIX = {"uv_": "uvloop", "llhttp_": "httptools"}
_BY_FILE = {"loop.c": "uvloop", "parser.c": "httptools"}


def room(frame: Frame) -> str:
    """The part of the program that a frame belongs to, such as `service/http`, `granian`, or one of the above."""
    if frame.file in {"", OUTSIDE}:
        return frame.file or OTHER
    top, *below = PurePosixPath(frame.file).parts
    if _PYTHON_FILE.fullmatch(frame.file):
        return _python_room(top, below)
    if frame.file.startswith(("libpython", "python")):
        return PYTHON
    if frame.file.startswith(_C_LIBRARIES):
        return KERNEL
    if below:
        return top  # granian/_granian.cpython-311-x86_64-linux-gnu.so
    if _C_FILE.fullmatch(frame.file):
        prefixes = (owner for prefix, owner in _BY_PREFIX.items() if frame.name.startswith(prefix))
        return next(prefixes, None) or _BY_FILE.get(frame.file, PYTHON)
    return OTHER


def is_native(frame: Frame) -> bool:
    """Whether it is machine code, and not a function written in Python."""
    return _NATIVE_FILE.fullmatch(frame.file) is not None


def charged(frames: Sequence[Frame]) -> int:
    """The place in a stack (its root is the thread) that its time is charged to.

    The leaf; but what Python itself does (making a dict, collecting garbage) is done for the
    function that called it, and is charged there.
    """
    for at in range(len(frames) - 1, 0, -1):
        if room(frames[at]) != PYTHON:
            return at
    return len(frames) - 1


def _python_room(top: str, below: list[str]) -> str:
    if top == "service":
        return f"service/{below[0].removesuffix('.py')}" if below else top
    name = top.removesuffix(".py")
    return STANDARD_LIBRARY if name in sys.stdlib_module_names or top.startswith("<") else name
