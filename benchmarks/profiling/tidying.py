"""A profile without the frames that say nothing, so that the rest can be read. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from benchmarks.profiling.rooms import PYTHON, is_native, room
from benchmarks.profiling.stacks import Frame, Stack

_NEARLY_ALL = 0.95


def tidied(stacks: Sequence[Stack]) -> list[Stack]:
    """The same time in shorter stacks; whose the time is stays as it was.

    Left out are machine code between two Python functions (the loop that calls back, the
    interpreter that calls), which the profiler sees on some stacks and loses on others; Python's
    own functions between two others; and what nearly all of a thread's time has above it: the
    way from the start of the program to its loop.
    """
    slim = [Stack(_without_calls_between(stack.frames), stack.seconds) for stack in stacks]
    of_thread: dict[Frame, list[Stack]] = defaultdict(list)
    for stack in slim:
        of_thread[stack.frames[0]].append(stack)
    return [stack for each in of_thread.values() for stack in _without_way_in(each)]


def _without_calls_between(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """The thread, all Python functions, and the machine code that the last of them called."""
    last = len(frames) - 1
    in_python = max((at for at, frame in enumerate(frames) if not is_native(frame)), default=0)
    return tuple(
        frame
        for at, frame in enumerate(frames)
        if at in (0, last) or (not is_native(frame) if at <= in_python else room(frame) != PYTHON)
    )


def _without_way_in(stacks: list[Stack]) -> Iterator[Stack]:
    """Of one thread. The last frame of the way stays, to say where the rest begins."""
    way = _way_in(stacks)
    for stack in stacks:
        functions = tuple(frame.function for frame in stack.frames[: len(way)])
        if len(way) > 1 and functions == way:
            yield Stack((stack.frames[0], *stack.frames[len(way) - 1 :]), stack.seconds)
        else:
            yield stack


def _way_in(stacks: list[Stack]) -> tuple[str, ...]:
    """The functions that nearly all of the time has in common, from the root to what calls the service.

    The service, and machine code, may follow below with nearly all of the time: that is its work.
    """
    enough = _NEARLY_ALL * sum(stack.seconds for stack in stacks)
    way: list[Frame] = []
    while (following := _dearest_at(len(way), stacks)) is not None:
        stacks = [stack for stack in stacks if _function_at(len(way), stack) == following.function]
        if sum(stack.seconds for stack in stacks) < enough:
            break
        way.append(following)
    while len(way) > 1 and (is_native(way[-1]) or room(way[-1]).startswith("service/")):
        way.pop()
    return tuple(frame.function for frame in way)


def _dearest_at(depth: int, stacks: list[Stack]) -> Frame | None:
    """Of the frames so deep in these stacks the one with the most time; None where none goes so deep."""
    seconds: dict[str, float] = defaultdict(float)
    frames: dict[str, Frame] = {}
    for stack in stacks:
        if depth < len(stack.frames):
            frame = stack.frames[depth]
            frames[frame.function] = frame
            seconds[frame.function] += stack.seconds
    return frames[max(seconds, key=seconds.__getitem__)] if seconds else None


def _function_at(depth: int, stack: Stack) -> str | None:
    return stack.frames[depth].function if depth < len(stack.frames) else None
