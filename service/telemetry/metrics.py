"""`/metrics`: what requests added up to, in Prometheus' text format.

With several workers each writes its numbers to a file of its own, now and then, and whoever is
scraped adds the files up: a worker that died is still counted, as a counter must never fall.
Label values that a client can choose (model names) are bounded in number.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from service.telemetry.facts import Facts
from service.telemetry.series import SECONDS, Distribution, Labels, Series, add

MAX_MODELS = 200
OTHER = "other"


class Summary(msgspec.Struct, frozen=True):
    """What requests added up to since the start. Latency is to the last byte, over all requests."""

    total_requests: int
    total_cost_usd: float
    avg_latency_ms: float
    total_input_tokens: int
    total_output_tokens: int


Family = CounterMetricFamily | HistogramMetricFamily


class Metrics(Collector):
    """The numbers of one worker, and the way to those of all."""

    def __init__(self, known_routes: frozenset[str], directory: Path | None) -> None:
        """known_routes: paths with series of their own; all others share one.

        A route that ends in a placeholder (`{id:str}`) has one for all that stand for it. directory: where several workers leave their numbers; None for a single one.
        """
        self._known_routes = known_routes
        self._families = [
            (prefix, f"{prefix}{{{name.partition(':')[0].rstrip('}')}}}")
            for prefix, brace, name in (route.partition("{") for route in known_routes)
            if brace and name.endswith("}") and "/" not in name
        ]
        self._directory = directory
        self._series = Series()
        self._models: set[str] = set()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def record(self, facts: Facts, ended_at: float, now: float) -> None:
        """Count one finished request."""
        series = self._series
        route = facts.path if facts.path in self._known_routes else self._family_of(facts.path)
        series.requests[route, str(facts.status), facts.outcome or "complete"] += 1
        series.durations[(route,)].observe(ended_at - facts.started_at)
        if facts.attempts:
            self._record_model(facts)

    def _family_of(self, path: str) -> str:
        """What stands for a path that names one of many: `/v1/streams/{stream_id}`."""
        for prefix, label in self._families:
            if path.startswith(prefix) and len(path) > len(prefix) and "/" not in path[len(prefix) :]:
                return label
        return OTHER

    def count_refusal(self, kind: str) -> None:
        """A limit of that kind refused a request."""
        self._series.refusals[(kind,)] += 1

    def count_alert(self, kind: str) -> None:
        """A budget's soft alert was raised."""
        self._series.alerts[(kind,)] += 1

    def count_overrun(self, kind: str) -> None:
        """A provider billed more than had been reserved of a budget."""
        self._series.overruns[(kind,)] += 1

    def save(self) -> None:
        """Leave this worker's numbers where the others find them."""
        if self._directory is not None:
            path = self._directory / f"{os.getpid()}.msgpack"
            written = path.with_suffix(".new")
            written.write_bytes(msgspec.msgpack.encode(self._series))
            written.replace(path)

    def render(self) -> bytes:
        """The exposition, summed over all workers."""
        self.save()
        return generate_latest(self._registry)

    def summary(self) -> Summary:
        """The same in five numbers."""
        self.save()
        series = self._summed()
        count = sum(series.requests.values())
        seconds = sum(each.total for each in series.durations.values())
        tokens = {
            kind: sum(n for (_, each), n in series.tokens.items() if each == kind)
            for kind in ("input", "output")
        }
        return Summary(
            total_requests=count,
            total_cost_usd=sum(series.cost_nano_usd.values()) / 1e9,
            avg_latency_ms=round(seconds / count * 1000, 3) if count else 0.0,
            total_input_tokens=tokens["input"],
            total_output_tokens=tokens["output"],
        )

    def collect(self) -> Iterator[Family]:
        """Prometheus' client asks for the families here."""
        series = self._summed()
        yield _counter(
            "penstock_requests", "Requests answered.", ("route", "status", "outcome"), series.requests
        )
        yield _histogram(
            "penstock_request_duration_seconds", "Time to the last byte.", ("route",), series.durations
        )
        yield _histogram(
            "penstock_time_to_first_event_seconds",
            "Time to a stream's first event.",
            ("model",),
            series.first_events,
        )
        yield _counter("penstock_attempts", "Calls to providers.", ("target",), series.attempts)
        yield _counter(
            "penstock_attempt_faults", "Attempts without an answer.", ("target", "reason"), series.faults
        )
        yield _counter(
            "penstock_tokens", "Tokens, as providers reported them.", ("model", "class"), series.tokens
        )
        yield _counter(
            "penstock_limit_refusals", "Requests that a limit refused.", ("kind",), series.refusals
        )
        yield _counter(
            "penstock_budget_overruns",
            "Answers that cost more than was reserved.",
            ("kind",),
            series.overruns,
        )
        yield _counter("penstock_budget_alerts", "Budgets' soft alerts.", ("kind",), series.alerts)
        yield _counter(
            "penstock_cost_usd", "Cost at the known prices.", ("model",), series.cost_nano_usd, 1e-9
        )

    def _record_model(self, facts: Facts) -> None:
        series = self._series
        known = facts.model in self._models or self._admit(facts.model)
        model, target = (facts.model, facts.target) if known else (OTHER, OTHER)
        series.attempts[(target,)] += facts.attempts
        for reason in facts.faults:
            series.faults[target, reason] += 1
        if facts.first_event_at is not None:
            series.first_events[(model,)].observe(facts.first_event_at - facts.started_at)
        if (usage := facts.usage) is not None:
            series.tokens[model, "input"] += usage.input_tokens
            series.tokens[model, "output"] += usage.output_tokens
        if facts.cost_nano_usd:
            series.cost_nano_usd[(model,)] += facts.cost_nano_usd

    def _admit(self, model: str) -> bool:
        if len(self._models) >= MAX_MODELS:
            return False
        self._models.add(model)
        return True

    def _summed(self) -> Series:
        if self._directory is None:
            return self._series
        summed = Series()
        for path in self._directory.glob("*.msgpack"):
            add(summed, msgspec.msgpack.decode(path.read_bytes(), type=Series))
        return summed


def _counter(
    name: str, help: str, label_names: Labels, counts: dict[Labels, int], unit: float = 1
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help, labels=label_names)
    for labels, count in counts.items():
        family.add_metric(labels, count * unit)
    return family


def _histogram(
    name: str, help: str, label_names: Labels, distributions: dict[Labels, Distribution]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, help, labels=label_names)
    for labels, distribution in distributions.items():
        cumulative, buckets = 0, list[tuple[str, float]]()
        for bound, count in zip((*map(str, SECONDS), "+Inf"), distribution.counts, strict=True):
            cumulative += count
            buckets.append((bound, cumulative))
        family.add_metric(labels, buckets, distribution.total)
    return family
