"""When to leave a failing server alone. A pure state machine; instants are integer microseconds."""

from enum import StrEnum


class BreakerState(StrEnum):
    """CLOSED: all well. OPEN: nobody asks. HALF_OPEN: one asks, to see whether it is back."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens after `failures` in a row, lets one probe through after `pause_us`, closes when it succeeds."""

    def __init__(self, *, failures: int, pause_us: int) -> None:
        self._limit = failures
        self._pause_us = pause_us
        self._failures = 0
        self._probe_at_us = 0
        self.state = BreakerState.CLOSED

    @property
    def closed(self) -> bool:
        """Whether requests may rely on the server."""
        return self.state is BreakerState.CLOSED

    def allows(self, now_us: int) -> bool:
        """Whether to ask now; True in OPEN makes the caller the one probe, whose outcome it must tell."""
        if self.state is BreakerState.OPEN and now_us >= self._probe_at_us:
            self.state = BreakerState.HALF_OPEN
            return True
        return self.state is BreakerState.CLOSED

    def failed(self, now_us: int) -> bool:
        """Told of a failure. True: with this one it opened, and had been closed before."""
        self._failures += 1
        opens = self.closed and self._failures >= self._limit
        if opens or not self.closed:
            self.state = BreakerState.OPEN
            self._probe_at_us = now_us + self._pause_us
        return opens

    def succeeded(self) -> bool:
        """Told of a success. True: with this one it closed again."""
        closes = not self.closed
        self.state = BreakerState.CLOSED
        self._failures = 0
        return closes
