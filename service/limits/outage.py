"""What is admitted while Redis is away, by policy: each worker its share, everything, or nothing.

A share is the limit divided by the workers that were alive when Redis was last heard: not exact, for what
was used before is known only as far as this worker has seen it. No I/O and no clock.
"""

from math import inf

import msgspec

from service.config.settings import LimitSettings, OutagePolicy
from service.errors import StoreUnavailable
from service.limits import rates
from service.limits.accounts import Account, Needs
from service.limits.base import Level, Meter
from service.limits.rates import MICRO, UNUSED, Bucket, Short
from service.limits.wire import Form


class Wait(msgspec.Struct, frozen=True, gc=False):
    """A share that is used up. seconds: inf for in vain."""

    meter: Meter
    seconds: float


class Shares:
    """The limits' stand-in of one worker; `clear` when Redis is back."""

    def __init__(self, settings: LimitSettings) -> None:
        self._rates_policy: OutagePolicy = settings.rates_without_redis
        self._budgets_policy: OutagePolicy = settings.budgets_without_redis
        self._buckets: dict[str, Bucket] = {}

    def clear(self) -> None:
        """Forget what was admitted; Redis counts again."""
        self._buckets.clear()

    def check_closed(self, accounts: list[Account], opens_in_seconds: float) -> None:
        """Whether these may be taken without Redis at all. Raises StoreUnavailable."""
        for account in accounts:
            policy = self._policy(account)
            if policy == "closed" or (
                policy == "local" and account.form is Form.BUDGET and not account.counted
            ):
                raise StoreUnavailable(
                    "Limits can't be checked now.", retry_after_seconds=opens_in_seconds or 1.0
                )

    def extends(self, account: Account) -> bool:
        """Whether a running stream gets more of it."""
        return self._policy(account) == "open"

    def _policy(self, account: Account) -> OutagePolicy:
        return self._budgets_policy if account.form is Form.BUDGET else self._rates_policy

    def take(
        self, accounts: list[Account], needs: Needs, workers: int, now_us: int, now: float
    ) -> tuple[Level, ...] | list[Wait]:
        """From every meter's share or from none: where they stand then, or which of them refuse.

        Holds in the accounts of slots and budgets are the caller's to make. Raises StoreUnavailable
        where a meter's policy is `closed`, or nothing is known of a budget.
        """
        buckets: dict[str, Bucket] = {}
        waits: list[Wait] = []
        levels: list[Level] = []
        self.check_closed(accounts, 0)
        for account in accounts:
            if self._policy(account) == "open":
                continue
            if account.is_rate:
                share = max(1, account.capacity // workers)
                pace = max(1, account.per_minute // workers)
                bucket = self._buckets.get(account.key, UNUSED)
                after = rates.take(bucket, now_us, account.asked(needs), share, pace)
                if isinstance(after, Short):
                    waits.append(Wait(account.meter, after.wait_us / MICRO))
                else:
                    buckets[account.key] = after
                    levels.append(_rate_level(account.meter, after, now_us, share, pace))
                continue
            left = _share_left(account, workers) - account.asked(needs)
            if left < 0:
                waits.append(Wait(account.meter, account.wait_seconds(0, now_us, now)))
            else:
                ends = None if account.end == inf else account.end - now
                levels.append(Level(meter=account.meter, remaining=left, reset_seconds=ends))
        if waits:
            return waits
        self._buckets |= buckets
        return tuple(levels)


def _share_left(account: Account, workers: int) -> int:
    if account.form is Form.SLOTS:
        return max(1, account.capacity // workers) - account.held
    share = max(0, account.capacity - account.spent - account.others) // workers
    return share - account.used - account.told - account.held - account.extended - account.pledged


def _rate_level(meter: Meter, bucket: Bucket, now_us: int, share: int, pace: int) -> Level:
    return Level(
        meter=meter,
        remaining=rates.remaining(bucket, now_us, share, pace),
        reset_seconds=rates.reset_us(bucket, now_us, pace) / MICRO,
    )
