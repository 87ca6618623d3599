"""What a run amounts to, in sentences: its circumstances, its verdict, and what must be known with it."""

from benchmarks.record import Comparison, Figure, Run, Verdict
from benchmarks.report import cells
from benchmarks.report.cells import Keeping
from benchmarks.report.tables import Tone, main_subject


def command(run: Run) -> str:
    """What was typed."""
    return f"just bench {run.command}".rstrip()


def when(run: Run) -> str:
    """The date as people write it."""
    return run.machine.date.replace("T", " ").replace("+00:00", " UTC")


def speed(run: Run) -> str:
    """How thorough it was, where the command doesn't say that already."""
    return "" if run.speed in run.command.split() else run.speed


def headline(run: Run) -> list[str]:
    """Command, subjects, machine and versions, without which the figures mean nothing."""
    at = run.machine
    return [
        " · ".join(filter(None, [command(run), speed(run), when(run), f"{run.seconds:.0f} s"])),
        " · ".join(f"{name} {identity}".rstrip() for name, identity in run.subjects.items()),
        f"{at.cores} cores of {at.cpu}, {at.memory_bytes / 1e9:.3g} GB, Linux {at.kernel}, Python {at.python}",
        ", ".join(f"{name} {version}" for name, version in at.packages.items()),
    ]


def notes(run: Run) -> list[str]:
    """Each remark once, with the work that it is about."""
    return list(dict.fromkeys(f"{work(figure)}: {note}" for figure in run.figures for note in figure.notes))


def work(figure: Figure) -> str:
    """Of a name such as "JSON: CPU per request" the part before the colon."""
    return figure.name.partition(":")[0]


def verdict(run: Run) -> str:
    """The comparisons in one plain sentence; empty where nothing was compared."""
    mine = [one for one in run.comparisons if one.subject == main_subject(run)]
    if not mine:
        return ""
    slower = [one for one in mine if one.verdict is Verdict.SLOWER]
    faster = [one for one in mine if one.verdict is Verdict.FASTER]
    unsure = sum(one.verdict is Verdict.CANT_TELL for one in mine)
    if slower:
        first = mine[0]
        share = f"{len(slower)} of {len(mine)} figure{'s' * (len(mine) != 1)}"
        says = f"{first.subject} is slower than {first.reference} in {share}: {_named(run, slower)}"
    else:
        says = "no figure is slower than its threshold allows"
    says += f"; faster in {len(faster)}: {_named(run, faster)}" if faster else ""
    return says + (f"; {unsure} can't tell" if unsure else "")


def _named(run: Run, some: list[Comparison]) -> str:
    names = {figure.key: figure.name for figure in run.figures}
    return ", ".join(f"{names.get(one.key, one.key)} {cells.percent(one.ratio)}" for one in some)


def bars(run: Run) -> str:
    """How many bars are kept, and which are not; empty where the run has none."""
    main = main_subject(run)
    judged = {figure.name: cells.keeping(figure, main) for figure in run.figures if figure.bar}
    if not judged:
        return ""
    states = list(judged.values())
    kept, missed, undecided = (states.count(state) for state in (Keeping.KEPT, Keeping.MISSED, Keeping.OPEN))
    says = (
        f"{main} keeps {kept} of {kept + missed} bars" if kept + missed else f"no bar of {main} can be judged"
    )
    if missed:
        says += ", but not " + " and ".join(
            _missed(one, main) for one in run.figures if _is_missed(one, main)
        )
    return says + (f"; {undecided} open" if undecided and kept + missed else "")


def _is_missed(figure: Figure, main: str) -> bool:
    return cells.keeping(figure, main) is Keeping.MISSED


def _missed(figure: Figure, main: str) -> str:
    relative = figure.bar is not None and figure.bar.of_nginx
    measured = cells.ratio(figure, main, "nginx") if relative else cells.value(figure, main)
    return f"“{figure.name}” ({measured}, bar {cells.bar(figure.bar, figure.unit)})"


def failures(run: Run) -> str:
    """That answers were wrong, if any were; empty otherwise."""
    wrong = sum(run.errors.values())
    if not wrong:
        return ""
    return f"{wrong:,} wrong answer{'s' * (wrong != 1)}, so the run failed"


def conclusions(run: Run) -> list[tuple[str, Tone]]:
    """What the run amounts to, most important first, as whole sentences; empty where it judges nothing."""
    said = [(failures(run), Tone.BAD), (verdict(run), _verdict_tone(run))]
    if not run.comparisons:
        said.append((bars(run), _bars_tone(run)))
    return [(f"{text[0].upper()}{text[1:]}.", tone) for text, tone in said if text]


def _verdict_tone(run: Run) -> Tone:
    verdicts = {one.verdict for one in run.comparisons}
    if Verdict.SLOWER in verdicts:
        return Tone.BAD
    return Tone.UNSURE if Verdict.CANT_TELL in verdicts else Tone.GOOD


def _bars_tone(run: Run) -> Tone:
    kept = {cells.keeping(figure, main_subject(run)) for figure in run.figures}
    return Tone.BAD if Keeping.MISSED in kept else Tone.GOOD if Keeping.KEPT in kept else Tone.QUIET
