"""`/metrics`: what requests add up to, for one worker and for several."""

from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.pricing.arithmetic import Usage
from service.telemetry.facts import Facts
from service.telemetry.metrics import MAX_MODELS, Metrics
from service.telemetry.series import Series

ROUTES = frozenset({"/v1/chat/completions", "/chat"})
USAGE = Usage(input_tokens=10, cached_input_tokens=0, cache_write_tokens=0, output_tokens=5)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def facts(path: str = "/chat", model: str = "fast", status: int = 200, **more: object) -> Facts:
    """A request to a model that was answered."""
    known = Facts("req_1", "POST", path, 100.0, status=status, model=model, target="up/gpt", attempts=1)
    return msgspec.structs.replace(known, **more)


def samples(metrics: Metrics) -> Samples:
    """The exposition as Prometheus reads it."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    """One sample's; None if there is none."""
    return found.get((name, tuple(sorted(labels.items()))))


def test_a_request_is_counted_everywhere() -> None:
    """Route, time, attempts with their faults, first event, tokens and cost."""
    metrics = Metrics(ROUTES, None)
    known = facts(
        attempts=2,
        faults=("http_503",),
        first_event_at=100.2,
        usage=USAGE,
        cost_nano_usd=1500,
        outcome="complete",
    )
    metrics.record(known, 101.0, 0.0)
    found = samples(metrics)
    assert value(found, "penstock_requests_total", route="/chat", status="200", outcome="complete") == 1
    assert value(found, "penstock_request_duration_seconds_sum", route="/chat") == 1.0
    assert value(found, "penstock_request_duration_seconds_count", route="/chat") == 1
    assert value(found, "penstock_request_duration_seconds_bucket", route="/chat", le="0.5") == 0
    assert value(found, "penstock_request_duration_seconds_bucket", route="/chat", le="1.0") == 1
    assert value(found, "penstock_request_duration_seconds_bucket", route="/chat", le="+Inf") == 1
    assert value(found, "penstock_time_to_first_event_seconds_sum", model="fast") == pytest.approx(0.2)
    assert value(found, "penstock_attempts_total", target="up/gpt") == 2
    assert value(found, "penstock_attempt_faults_total", target="up/gpt", reason="http_503") == 1
    assert value(found, "penstock_tokens_total", **{"model": "fast", "class": "input"}) == 10
    assert value(found, "penstock_tokens_total", **{"model": "fast", "class": "output"}) == 5
    assert value(found, "penstock_cost_usd_total", model="fast") == pytest.approx(1.5e-6)


def test_a_refused_request_has_no_model() -> None:
    """Names that clients make up leave no series; so do paths."""
    metrics = Metrics(ROUTES, None)
    metrics.record(
        facts("/etc/passwd", model="made-up", status=404, attempts=0, outcome="refused"), 100.0, 0.0
    )
    text = metrics.render().decode()
    assert (
        value(samples(metrics), "penstock_requests_total", route="other", status="404", outcome="refused")
        == 1
    )
    assert "made-up" not in text and "passwd" not in text


def test_the_number_of_series_is_bounded() -> None:
    """Models beyond the first few hundred share one name; those before keep theirs."""
    metrics = Metrics(ROUTES, None)
    for number in range(MAX_MODELS + 50):
        metrics.record(facts(model=f"up/m{number}", target=f"up/m{number}", usage=USAGE), 100.0, 0.0)
    metrics.record(facts(model="up/m0", target="up/m0", usage=USAGE), 100.0, 0.0)
    found = samples(metrics)
    assert value(found, "penstock_tokens_total", **{"model": "other", "class": "input"}) == 500
    assert value(found, "penstock_tokens_total", **{"model": "up/m0", "class": "input"}) == 20
    assert sum(name == "penstock_attempts_total" for name, _ in found) == MAX_MODELS + 1


def test_buckets_are_cumulative() -> None:
    """As Prometheus wants them, and up to infinity they hold all."""
    metrics = Metrics(ROUTES, None)
    for seconds in (0.001, 0.02, 0.02, 3.0, 1000.0):
        metrics.record(facts(), 100.0 + seconds, 0.0)
    found = samples(metrics)
    counts = [
        value(found, "penstock_request_duration_seconds_bucket", route="/chat", le=bound)
        for bound in ("0.005", "0.025", "2.5", "5.0", "600.0", "+Inf")
    ]
    assert counts == [1, 3, 3, 4, 4, 5]


def test_label_values_cannot_break_the_text() -> None:
    """Quotes, backslashes and line ends of a model's name are escaped."""
    metrics = Metrics(ROUTES, None)
    name = 'a"b\\c\nd'
    metrics.record(facts(model=name, usage=USAGE), 100.0, 0.0)
    assert value(samples(metrics), "penstock_tokens_total", **{"model": name, "class": "input"}) == 10


def test_a_scrape_sums_over_all_workers(tmp_path: Path) -> None:
    """Whoever is asked adds its own numbers to the files of the others, dead ones too."""
    dead = Series()
    dead.requests["/chat", "200", "complete"] += 7
    dead.durations["/chat",].observe(0.02)
    (tmp_path / "1.msgpack").write_bytes(msgspec.msgpack.encode(dead))
    metrics = Metrics(ROUTES, tmp_path)
    metrics.record(facts(), 100.5, 0.0)
    for _ in range(2):
        found = samples(metrics)
        assert value(found, "penstock_requests_total", route="/chat", status="200", outcome="complete") == 8
        assert value(found, "penstock_request_duration_seconds_sum", route="/chat") == pytest.approx(0.52)
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize(
    ("path", "route"),
    [
        pytest.param("/v1/streams/abc", "/v1/streams/{stream_id}", id="one-of-many"),
        pytest.param("/v1/models/m", "/v1/models/{model_id}", id="whatever-its-type"),
        pytest.param("/v1/models/a/b", "other", id="not-with-a-slash-in-it"),
        pytest.param("/v1/streams/", "other", id="none-of-them"),
        pytest.param("/admin/keys/k/rotate", "other", id="a-placeholder-in-the-middle"),
    ],
)
def test_all_that_stand_for_a_placeholder_share_a_series(path: str, route: str) -> None:
    """An id of each stream would be a series for each."""
    routes = frozenset(
        {"/v1/streams/{stream_id:str}", "/v1/models/{model_id:path}", "/admin/keys/{key_id:str}/rotate"}
    )
    metrics = Metrics(routes, None)
    metrics.record(facts(path), 100.0, 0.0)
    [found] = [labels for name, labels in samples(metrics) if name == "penstock_requests_total"]
    assert dict(found)["route"] == route
