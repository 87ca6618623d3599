"""Configuration: frozen Settings, and the one reader that makes them of file, environment and flags."""

from service.config.limits import Budget, Limits
from service.config.load import load
from service.config.mistakes import ConfigInvalid, Mistake
from service.config.secret import Secret
from service.config.settings import (
    Auth,
    Jwt,
    LimitSettings,
    Model,
    Price,
    Provider,
    ProviderKind,
    Retries,
    Server,
    Settings,
    Store,
    Streams,
    TargetRef,
    TimeoutOverrides,
    Timeouts,
    UsageSettings,
    merge_timeouts,
)

__all__ = [
    "Auth",
    "Budget",
    "ConfigInvalid",
    "Jwt",
    "LimitSettings",
    "Limits",
    "Mistake",
    "Model",
    "Price",
    "Provider",
    "ProviderKind",
    "Retries",
    "Secret",
    "Server",
    "Settings",
    "Store",
    "Streams",
    "TargetRef",
    "TimeoutOverrides",
    "Timeouts",
    "UsageSettings",
    "load",
    "merge_timeouts",
]
