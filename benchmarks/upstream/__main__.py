"""The mock provider by itself: `python -m benchmarks.upstream`."""

from benchmarks.upstream.command import upstream

if __name__ == "__main__":
    upstream()
