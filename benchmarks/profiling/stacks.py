"""What a profile is made of: frames, samples as py-spy writes them, and stacks with their CPU time. Pure."""

import re

import msgspec

_FRAME = re.compile(r"(?P<name>.*) \((?P<file>[^()]*?)(?::(?P<line>\d+))?\)", re.DOTALL)
_THREAD = re.compile(r"thread \((?P<id>\d+|0x[0-9A-Fa-f]+)\)(?:: (?P<name>.*))?", re.DOTALL)
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_UNNAMED = "native code"


class Frame(msgspec.Struct, frozen=True):
    """A function on a stack. file: as py-spy shortens it, or the library; line: None where not known."""

    name: str
    file: str = ""
    line: int | None = None

    @property
    def function(self) -> str:
        """What it is called in tables, whatever the line."""
        return f"{self.name} ({self.file})" if self.file else self.name


class Sample(msgspec.Struct, frozen=True):
    """A stack as it was seen `count` times in one thread; frames from the root to the leaf."""

    thread_id: int
    thread: str
    frames: tuple[Frame, ...]
    count: int


class Stack(msgspec.Struct, frozen=True):
    """A stack and the CPU seconds that were spent at its leaf; frames from the root to the leaf."""

    frames: tuple[Frame, ...]
    seconds: float


def parse_samples(raw: str) -> list[Sample]:
    """Read collapsed stacks (`py-spy record --format raw --threads`): `frame;frame;frame count` a line.

    What stands before the thread's own frame is left out: processes with their command lines,
    which may go over several lines. Raises ValueError where a stack has no count.
    """
    samples = (_sample(line) for line in raw.splitlines())
    return [sample for sample in samples if sample is not None]


def _sample(line: str) -> Sample | None:
    labels, _, count = line.rpartition(" ")
    parts = labels.split(";")
    threads = [(at, found) for at, part in enumerate(parts) if (found := _THREAD.fullmatch(part))]
    if not threads:
        return None
    at, thread = threads[-1]
    frames: list[Frame] = []
    for label in parts[at + 1 :]:
        frame = parse_frame(label)
        # Of functions without names only the library is known: one frame says it.
        if not (frames and frame.name == _UNNAMED and frame == frames[-1]):
            frames.append(frame)
    return Sample(int(thread["id"], 0), thread["name"] or "", tuple(frames), int(count))


def parse_frame(label: str) -> Frame:
    """Read `name (file:line)`, `name (library)`, or a bare name; an address is no name."""
    found = _FRAME.fullmatch(label)
    if found is None:
        return Frame(label)
    name = _UNNAMED if _ADDRESS.fullmatch(found["name"]) else found["name"]
    return Frame(name, found["file"], int(found["line"]) if found["line"] else None)
