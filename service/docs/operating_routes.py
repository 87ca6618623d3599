"""The routes of whoever runs the server, and those of this document."""

from service.docs import own_examples as own
from service.docs.route import Route
from service.docs.schemas import reference
from service.docs.security import WITHOUT_KEY

_OPERATORS = "Where a key is required, it must have the scope `admin`, unless `server.metrics_open` lets everybody look."

OPERATING_ROUTES: dict[tuple[str, str], Route] = {
    ("get", "/livez"): Route(tag="Operating", name="livez", summary="Does it run?", answers=own.OK_ANSWERS),
    ("get", "/readyz"): Route(
        tag="Operating",
        name="readyz",
        summary="Does it take requests?",
        answers=own.READY_ANSWERS,
        failures=WITHOUT_KEY,
        for_operators=True,
        parameters=("verbose",),
    ),
    ("get", "/healthz"): Route(
        tag="Operating", name="healthz", summary="Does it run?", answers=own.OK_ANSWERS
    ),
    ("get", "/health"): Route(
        tag="Operating",
        name="health",
        summary="How are the models?",
        answers=own.HEALTH_ANSWERS,
        answer_schema={"anyOf": [reference("Health"), reference("Brief")]},
        for_operators=True,
    ),
    ("get", "/metrics"): Route(
        tag="Operating",
        name="metrics",
        summary="Counters for Prometheus",
        description=_OPERATORS,
        answers=own.METRICS_ANSWERS,
        failures=WITHOUT_KEY,
        for_operators=True,
    ),
    ("get", "/metrics.json"): Route(
        tag="Operating",
        name="metricsSummary",
        summary="The sums of all requests",
        description=_OPERATORS,
        answers=own.SUMMARY_ANSWERS,
        failures=WITHOUT_KEY,
        for_operators=True,
    ),
}

DOCUMENTATION_ROUTES: dict[tuple[str, str], Route] = {
    ("get", "/openapi.json"): Route(
        tag="Documentation",
        name="openapi",
        summary="This document",
        answer_schema={"type": "object", "description": "An OpenAPI 3.1 document."},
    ),
    ("get", "/docs"): Route(tag="Documentation", name="docs", summary="The page that shows it"),
}
