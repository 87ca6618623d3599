"""The load generator by itself: `python -m benchmarks.load`."""

from benchmarks.load.command import load

if __name__ == "__main__":
    load()
