"""What an attempt's fault means to the client, once no further attempt is made. Pure."""

from service.errors import (
    GatewayError,
    InvalidRequest,
    ProviderAuthFailed,
    ProviderFailed,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimedOut,
    ProviderUnavailable,
)
from service.providers.base import Fault, FaultKind

WORDING = {
    FaultKind.UNREACHABLE: "The provider could not be reached.",
    FaultKind.EMPTY: "The provider answered 200 with nothing of an answer.",
    FaultKind.CUT: "The provider's answer broke off or is not valid; it may have been billed, so it is not asked again.",
    FaultKind.UNAUTHORIZED: "The provider does not accept this gateway's credentials; its operator has to look.",
}
"""Where the fault's own detail is for the log alone: it may hold an address or half a key."""


def error_of(
    fault: Fault, *, retry_after_seconds: float | None = None, too_long: bool = False
) -> GatewayError:
    """The error to answer with. `too_long`: the provider asked for a longer pause than may be waited for."""
    kind = fault.kind
    detail = WORDING.get(kind, fault.detail)
    if kind in (FaultKind.REJECTED, FaultKind.MISSING):
        return ProviderRejected(
            detail, status=fault.status or 400, kind=fault.type, code=fault.code, param=fault.param
        )
    if kind is FaultKind.UNSPEAKABLE:
        return InvalidRequest(detail, param=fault.param)
    if kind is FaultKind.UNAUTHORIZED:
        return ProviderAuthFailed(detail)
    if kind is FaultKind.OVERLOADED:
        return ProviderRateLimited(detail, retry_after_seconds=retry_after_seconds)
    if kind in (FaultKind.TIMED_OUT, FaultKind.STALLED):
        return ProviderTimedOut(detail)
    if too_long and fault.status == 503:
        return ProviderUnavailable(detail, retry_after_seconds=retry_after_seconds)
    return ProviderFailed(detail)
