"""What can be typed after `just bench`: parses, calls, prints, and says the exit status.

Exit status: 0 when every answer was right and nothing regressed; 1 when an answer was wrong, a
figure regressed beyond its threshold, or, with --strict, a bar was missed; 2 when something
could not be started or found; 130 on Ctrl-C.
"""

import click

from benchmarks.commands.against import against
from benchmarks.commands.keep import clean, report
from benchmarks.commands.measure import daily, full, quick
from benchmarks.commands.peers import peers
from benchmarks.commands.profile import profile
from benchmarks.commands.prove import prove
from benchmarks.load.command import load
from benchmarks.upstream.command import upstream


class _DailyFirst(click.Group):
    """A group whose options and bare name are those of its daily command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `daily` before what is not a command of its own."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["daily", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_DailyFirst, name="just bench", context_settings={"max_content_width": 100})
def bench() -> None:
    """What the gateway costs, beside nginx, another revision of itself, or its peers.

    Without a command: the daily run, below three minutes. Loopback only; nothing needs to run.
    """


for _command in (daily, quick, full, against, peers, profile, prove, report, clean, upstream, load):
    bench.add_command(_command)
