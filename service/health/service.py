"""What the server knows of its own health and of its models', from what passed through it."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from service import __version__
from service.errors import GatewayError, ServerDraining, StoreUnavailable
from service.telemetry.facts import Facts

RECENT = 64
"""Answers per model that the median latency looks at."""

MAX_MODELS = 200
"""Model names are partly the clients' choice; beyond this many the newest are not followed."""

OK = "ok"

REQUIRED = {"database": OK, "replay": "done", "keys": OK, "overrides": OK}
"""What must be so for new requests to be welcome. Without Redis they are served by the configured policy;
without the database unknown keys can't be, and what dead workers left must be in it first."""

FAILED_OUTCOMES = frozenset({"upstream_error", "upstream_truncated", "timeout"})

CALLERS_FAULT = frozenset({"provider_rejected", "invalid_request"})
"""Problems that tell of the request, not of the model."""


class ModelHealth(msgspec.Struct, frozen=True):
    """One model as its last answers show it."""

    status: str
    last_success_at: float | None
    last_error: str | None
    latency_ms_p50: float | None
    circuit: str = "closed"


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of `/health`."""

    status: str
    version: str
    uptime_seconds: int
    model: str | None
    embedding_model: str | None
    models: dict[str, ModelHealth] = {}
    checks: dict[str, str] = {}


class Brief(msgspec.Struct, frozen=True):
    """What everybody may know."""

    status: str
    version: str


@dataclass(slots=True)
class _Seen:
    latencies_ms: list[float]
    last_success_at: float | None = None
    last_error: str | None = None
    failing: bool = False


class HealthService:
    """Follows the models by the requests that used them; asks no provider anything."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        default_model: Callable[[], str | None],
        is_served: Callable[[str], bool],
        accepting: Callable[[], bool],
        stores: Callable[[], dict[str, str]],
    ) -> None:
        """now: Unix seconds. is_served: whether a model is one that clients may name now. stores: by a store's name `ok`, or what is the matter with it."""
        self._now = now
        self._started_at = now()
        self._default_model = default_model
        self._is_served = is_served
        self._accepting = accepting
        self._stores = stores
        self._models: dict[str, _Seen] = {}

    def record(self, facts: Facts, ended_at: float, now: float) -> None:
        """Note how one request to a model ended."""
        if not facts.attempts or not facts.model or facts.problem in CALLERS_FAULT:
            return
        seen = self._models.get(facts.model)
        if seen is None:
            if len(self._models) >= MAX_MODELS:
                return
            seen = self._models[facts.model] = _Seen([])
        if facts.outcome == "complete":
            seen.failing = False
            seen.last_success_at = now
            if len(seen.latencies_ms) >= RECENT:
                del seen.latencies_ms[: RECENT // 2]
            seen.latencies_ms.append((ended_at - facts.started_at) * 1000)
        elif facts.outcome in FAILED_OUTCOMES:
            seen.failing = True
            seen.last_error = facts.problem or facts.outcome

    def unready(self) -> GatewayError | None:
        """Why new requests are not welcome; None where they are."""
        if not self._accepting():
            return ServerDraining("The server is shutting down; ask again shortly.", retry_after_seconds=1)
        found = self._stores()
        wrong = [
            f"{name}: {found[name]}" for name, wanted in REQUIRED.items() if found.get(name, wanted) != wanted
        ]
        if wrong:
            detail = f"Not ready: {', '.join(wrong)}."
            return StoreUnavailable(detail, retry_after_seconds=1)
        return None

    def checks(self) -> dict[str, str]:
        """Our own parts, each `ok` or what is the matter with it."""
        return {"accepting": OK if self._accepting() else "draining", **self._stores()}

    def report(self) -> Health:
        """Everything, for `/health`. Models that are gone from the configuration are forgotten."""
        for name in [name for name in self._models if not self._is_served(name)]:
            del self._models[name]
        models = {name: _health_of(seen) for name, seen in self._models.items()}
        failing = any(model.status == "failing" for model in models.values())
        return Health(
            status="down" if not self._accepting() else "degraded" if failing else "ok",
            version=__version__,
            uptime_seconds=int(self._now() - self._started_at),
            model=self._default_model(),
            embedding_model=self._default_model(),
            models=models,
            checks=self.checks(),
        )


def _health_of(seen: _Seen) -> ModelHealth:
    latencies = sorted(seen.latencies_ms)
    return ModelHealth(
        status="failing" if seen.failing else "ok",
        last_success_at=seen.last_success_at,
        last_error=seen.last_error,
        latency_ms_p50=round(latencies[len(latencies) // 2], 2) if latencies else None,
    )
