"""Runs to report on: a full one, two revisions, peers, and one with almost nothing in it."""

import msgspec

from benchmarks.record import (
    Bar,
    Comparison,
    Curve,
    CurveKind,
    Figure,
    Kind,
    Machine,
    Run,
    Verdict,
)

MACHINE = Machine(
    date="2026-11-25T09:30:38+00:00",
    cpu="AMD EPYC",
    cores=2,
    memory_bytes=8_100_000_000,
    kernel="6.18.44",
    python="3.11.7",
    packages={"litestar": "2.25.0", "msgspec": "0.22.0"},
)
HOSTILE = '<script src="https://evil.example/x.js"></script><img src=x onerror="alert(1)"> & [bold]'
CPU = Figure(
    key="json.cpu",
    name="JSON: CPU per request",
    unit="µs",
    kind=Kind.CPU,
    blocks={"gateway": [[124.0, 126.0], [126.0, 128.0]], "nginx": [[19.4, 19.3], [19.5, 19.4]]},
    bar=Bar(7, of_nginx=True),
)
PACE = Figure(
    key="json.pace",
    name="JSON: requests/s",
    unit="/s",
    kind=Kind.PACE,
    blocks={"gateway": [[7918.4]], "nginx": [[49074.0]]},
    derived=("nginx",),
    notes=("the load side filled 99 % of its core",),
)
LATENCY = Figure(
    key="latency.p50",
    name="added latency, JSON, p50",
    unit="ms",
    kind=Kind.LATENCY,
    blocks={"gateway": [[0.7201]], "nginx": [[0.19]]},
    bar=Bar(0.6),
    notes=(HOSTILE,),
)
START = Figure(
    key="start.ready",
    name="start to ready",
    unit="s",
    kind=Kind.START,
    blocks={"gateway": [[1.07]]},
    bar=Bar(1.5),
)
FIGURES = (CPU, PACE, LATENCY, START)


def curve(key: str, kind: CurveKind, lines: dict[str, list[tuple[float, float]]]) -> Curve:
    return Curve(key=key, name=f"{key} of JSON", kind=kind, x_label="ms", y_label="MB", lines=lines)


_DURATIONS = [(0.5, 0.0), (0.8, 50.0), (1.1, 99.0), (2.0, 99.9), (9.0, 100.0)]
CURVES = (
    curve("latency", CurveKind.CDF, {"direct": _DURATIONS, "gateway": _DURATIONS, "nginx": _DURATIONS}),
    curve("first-event", CurveKind.CDF, {"gateway": _DURATIONS}),
    curve("sse.gap", CurveKind.CDF, {"gateway": _DURATIONS}),
    curve("frontier", CurveKind.FRONTIER, {"gateway": [(500.0, 0.001), (4000.0, 0.9), (8000.0, 1000.0)]}),
    curve("soak.memory", CurveKind.TIMELINE, {"gateway": [(0.0, 80.0), (60.0, 91.0)], "nginx": [(0.0, 7.0)]}),
    curve("soak.lag", CurveKind.TIMELINE, {"gateway": [(0.0, 0.0)]}),
)
FULL = Run(
    machine=MACHINE,
    command="full",
    speed="full",
    subjects={"gateway": "33e56c4+", "nginx": "1.22.1"},
    reference="nginx",
    scenarios=("json", "latency", "start"),
    seconds=512.3,
    figures=FIGURES,
    curves=CURVES,
    errors={f"json, gateway: lost event {HOSTILE}": 3},
    unavailable={"guarded-redis": f"no Redis here {HOSTILE}"},
)
MINIMAL = Run(
    machine=MACHINE,
    command="quick --scenario start",
    speed="quick",
    subjects={"gateway": "33e56c4"},
    reference=None,
    scenarios=("start",),
    seconds=8,
    figures=(START,),
)
EMPTY = msgspec.structs.replace(MINIMAL, figures=(), command="")


def _of_revisions(figure: Figure, head: float) -> Figure:
    base = figure.blocks["gateway"]
    blocks = {"head": [[value * head for value in block] for block in base], "base": base}
    return msgspec.structs.replace(figure, blocks=blocks, bar=None, derived=(), notes=())


def compared(key: str, ratio: float, reach: float, verdict: Verdict) -> Comparison:
    return Comparison(
        key=key,
        subject="head",
        reference="base",
        ratio=ratio,
        low=ratio - reach,
        high=ratio + reach,
        threshold=0.05,
        verdict=verdict,
    )


AGAINST = msgspec.structs.replace(
    FULL,
    command="against v0.3.0",
    speed="daily",
    subjects={"head": "33e56c4", "base": "5bd6ee5"},
    reference="base",
    figures=(_of_revisions(CPU, 1.102), _of_revisions(PACE, 0.999), _of_revisions(LATENCY, 1.12)),
    comparisons=(
        compared("json.cpu", 1.102, 0.016, Verdict.SLOWER),
        compared("json.pace", 1.001, 0.01, Verdict.SAME),
        compared("latency.p50", 1.12, 0.09, Verdict.CANT_TELL),
    ),
    curves=(),
    errors={},
    unavailable={},
)
PEERS = msgspec.structs.replace(
    FULL,
    command="peers",
    speed="daily",
    subjects={"gateway": "33e56c4", "fastapi": "0.118", "litellm": "1.109.1", "nginx": "1.22.1"},
    figures=tuple(
        msgspec.structs.replace(
            figure,
            blocks={**figure.blocks, "fastapi": [[9000.5]], "litellm": [[50.0]]},
            notes=(),
        )
        for figure in (CPU, PACE, LATENCY)
    ),
)
