"""Rates as leaky buckets, in integers. Pure.

A bucket's level rises by what is taken and drains at `per_minute`; a request passes while the level,
with it, is within the capacity. That is the generic cell rate algorithm in its continuous form
(ITU-T I.371, annex A). Levels are micro-units (10^-6 of a request or a token), instants integer
microseconds on the store's own clock, which should not go back; where it does, nothing drains until
it has caught up.

Drains are rounded down, so a bucket is never too generous; each step loses less than a micro-unit.
A state may be forgotten as soon as `forgettable_at_us` has come, and no earlier.
"""

import msgspec

MICRO = 1_000_000
_MICROSECOND_MINUTES = 60
"""A rate of one a minute drains one micro-unit in this many microseconds."""


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """One rate's state. at_us: the instant of `level_micro`.

    refunded_micro: all that was ever given back; tells a reservation how far it has sunk.
    """

    level_micro: int
    at_us: int
    refunded_micro: int = 0


UNUSED = Bucket(0, 0)
"""Of a rate that nobody has asked yet. Good with clocks that start at zero or later."""


class Short(msgspec.Struct, frozen=True, gc=False):
    """Not now. wait_us: the least time after which the same passes, if nobody else asks."""

    wait_us: int


def drained_micro(elapsed_us: int, per_minute: int) -> int:
    """What leaves a bucket that is full enough; nothing where time goes back."""
    return elapsed_us * per_minute // _MICROSECOND_MINUTES if elapsed_us > 0 else 0


def level_micro(bucket: Bucket, now_us: int, per_minute: int) -> int:
    """How full the bucket is."""
    return _moved(bucket, now_us, per_minute)[0]


def take(bucket: Bucket, now_us: int, units: int, capacity: int, per_minute: int) -> Bucket | Short:
    """The bucket with `units` more in it, at most `capacity` of them; or how long they have to wait.

    What is refused changes nothing, so whoever hammers is not pushed further out.
    """
    level, at_us = _moved(bucket, now_us, per_minute)
    asked = units * MICRO if units < capacity else capacity * MICRO
    room = capacity * MICRO - asked
    if level > room:
        # From the stored level and not from today's, whose fraction was rounded away.
        return Short(_sinks_us(bucket, bucket.level_micro - room, now_us, per_minute))
    return Bucket(level + asked, at_us, bucket.refunded_micro) if asked else bucket


def settle(bucket: Bucket, taken: Bucket, now_us: int, reserved: int, used: int, per_minute: int) -> Bucket:
    """Correct what a reservation put in, once the truth is known.

    taken: the bucket as `take` returned it. reserved: the units put in then. What was used beyond
    them is added, past the capacity too. What was not used is given back as far as it has not
    drained: a bucket drains from the bottom, the reservation lies right below `taken`'s level,
    and what others gave back since may have come from below it. So no bucket that had known the
    truth from the start is ever fuller than this one.
    """
    if used == reserved:
        return bucket
    level, at_us = _moved(bucket, now_us, per_minute)
    if used > reserved:
        return Bucket(level + (used - reserved) * MICRO, at_us, bucket.refunded_micro)
    left = taken.level_micro - drained_micro(at_us - taken.at_us, per_minute)
    # Less was given back than then where the state was forgotten since; all has drained by that time.
    if bucket.refunded_micro > taken.refunded_micro:
        left -= bucket.refunded_micro - taken.refunded_micro
    refund = min((reserved - used) * MICRO, left, level)
    return Bucket(level - refund, at_us, bucket.refunded_micro + refund) if refund > 0 else bucket


def reserved_units(units: int, capacity: int) -> int:
    """What `take` puts in when it is asked for `units`."""
    return min(units, capacity)


def remaining(bucket: Bucket, now_us: int, capacity: int, per_minute: int) -> int:
    """Whole units that would pass now."""
    room = capacity * MICRO - _moved(bucket, now_us, per_minute)[0]
    return room // MICRO if room > 0 else 0


def reset_us(bucket: Bucket, now_us: int, per_minute: int) -> int:
    """How long until the bucket is as good as unused."""
    return max(0, _sinks_us(bucket, bucket.level_micro, now_us, per_minute)) if bucket.level_micro else 0


def standing(bucket: Bucket, now_us: int, capacity: int, per_minute: int) -> tuple[int, int]:
    """`remaining` and `reset_us` at one go, for every answer tells both of every rate."""
    level = bucket.level_micro
    if not level:
        return capacity, 0
    reset_us = bucket.at_us - now_us - (-level * _MICROSECOND_MINUTES // per_minute)
    if (elapsed_us := now_us - bucket.at_us) > 0:
        level -= elapsed_us * per_minute // _MICROSECOND_MINUTES
    room = (capacity * MICRO - level) // MICRO if level > 0 else capacity
    return max(0, room), max(0, reset_us)


def forgettable_at_us(bucket: Bucket, capacity: int, per_minute: int) -> int:
    """When the state is no different from `UNUSED`, for reservations that are still to be settled too.

    They lie no higher than the capacity, so they have drained when that much has.
    """
    return bucket.at_us + _drain_us(max(bucket.level_micro, capacity * MICRO), per_minute)


def _moved(bucket: Bucket, now_us: int, per_minute: int) -> tuple[int, int]:
    """The level and its instant, moved on to now; not moved back where now is earlier."""
    elapsed_us = now_us - bucket.at_us
    if elapsed_us <= 0:
        return bucket.level_micro, bucket.at_us
    left = bucket.level_micro - elapsed_us * per_minute // _MICROSECOND_MINUTES
    return (left, now_us) if left > 0 else (0, now_us)


def _drain_us(micro: int, per_minute: int) -> int:
    return -(-micro * _MICROSECOND_MINUTES // per_minute)


def _sinks_us(bucket: Bucket, micro: int, now_us: int, per_minute: int) -> int:
    """How long from now until `micro` of the stored level have drained."""
    return bucket.at_us + _drain_us(micro, per_minute) - now_us
