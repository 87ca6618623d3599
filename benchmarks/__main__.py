"""The `just bench` command: `python -m benchmarks [quick|full|against REF|peers|profile SCENARIO|…]`.

Exit status: 0 when every answer was right and nothing regressed; 1 when an answer was wrong, a
figure regressed beyond its threshold, or, with --strict, a bar was missed; 2 when something
could not be started or found; 130 on Ctrl-C.
"""

from benchmarks.commands import bench

if __name__ == "__main__":
    bench()
