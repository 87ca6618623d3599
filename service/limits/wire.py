"""What a worker and the scripts in Redis tell each other: MessagePack arrays. Pure.

The scripts are `hello.lua` and `exchange.lua`; what their fields mean is written here.
"""

from enum import IntEnum

import msgspec

from service.limits.rates import MICRO


class Status(IntEnum):
    """How an exchange went; but for OK nothing was done."""

    OK = 0
    STALE = 1
    STRANGER = 2
    UNKNOWN_GENERATION = 3


class Verdict(IntEnum):
    """What became of a demand.

    RECALLING: refused, and other workers were told to give back what they hold in advance and don't
    use, which would do. UNSEEDED: a budget's count needs the ledger's sum first. CLOSED: the same, but
    other workers may still have rows of the time before that aren't in the ledger.
    """

    TAKEN = 0
    REFUSED = 1
    RECALLING = 2
    UNSEEDED = 3
    CLOSED = 4


class Form(IntEnum):
    """How a meter is counted."""

    RATE = 1
    SLOTS = 2
    BUDGET = 3


class Refund(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Units of a rate that a reservation didn't use, with the level right after it was taken.

    gone_units, gone_micro: all that the meter had ever refunded by then.
    """

    unused: int
    level_units: int
    level_micro: int
    at_us: int
    gone_units: int
    gone_micro: int


class Cell(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a worker tells of one meter, and wants of it.

    granted: what it holds, idle: how much of that is in advance. Both are amounts, not changes, so
    that telling them twice does no harm; the script believes them. used: units or spent nano-dollars
    and tokens since it last told. want: to have in advance, `piece` at least or nothing. expires_at:
    Unix seconds, for budgets. seed: the ledger's sum; -1 for none. until: the latest `finished_at` of what was
    told of it so far, this time included.
    """

    key: str
    form: int
    capacity: int
    per_minute: int
    expires_at: int
    alert_at: int
    granted: int
    idle: int
    used: int
    refunds: list[Refund]
    want: int
    piece: int
    seed: int
    until: float = 0.0


class Booking(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Used without a reservation. owner: who may have told of it itself, or "". cell: counted from 1."""

    owner: str
    finished_at: float
    cell: int
    amount: int


class Exchange(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One step. sequence: rises with every one of its lane, so that none is done twice or too late.

    lane: "" or EXTENSIONS; what is held in one is not touched by the other. lasts_us: how long the
    owner counts as alive after this. demands: (cell counted from 1, amount, …) each.
    """

    generation: str
    owner: str
    lane: str
    sequence: int
    lasts_us: int
    leaving: bool
    cells: list[Cell]
    demands: list[list[int]]
    bookings: list[Booking]


class State(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A meter after the step.

    spent: whole units of the level for rates, with `micro` and its instant. gone_…: all that was ever
    refunded. others: what other workers' requests hold. gain: given in advance. alarming: its alert is
    due. recalled: nobody may have anything in advance now. cutoff_slice: the quarter of a second, since the
    epoch, from which on a budget is counted in Redis; what finished before is in the ledger.
    """

    spent: int
    micro: int
    at_us: int
    gone_units: int
    gone_micro: int
    others: int
    gain: int
    alarming: bool
    recalled: bool
    cutoff_slice: int


class Answer(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a step came to.

    verdicts: for each demand, with the level after it for each rate (False for the others) if it was
    taken, else with the cells at fault. workers: how many are alive.
    """

    status: int
    now_us: int = 0
    workers: int = 1
    cells: list[State] = []
    verdicts: list[tuple[int, list[bool | int | tuple[int, int]]]] = []


class Hello(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The first word of a worker, and its first after a failure.

    new: it holds nothing yet; what an earlier one of this name held is given back.     lag_us: how long after its beginning a generation's count begins. flush_us: how long from then on
    other workers may take to write what finished before into the ledger.
    """

    owner: str
    new: bool
    sequence: int
    lasts_us: int
    lag_us: int
    flush_us: int


class Welcome(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where the worker has come to.

    generation: "" to one that comes too late. done: the sequence of its last exchange that was.

    cutoff_us: Unix microseconds; what finished before is in the ledger. known: the owner was alive still.
    """

    generation: str = ""
    cutoff_us: int = 0
    opens_us: int = 0
    now_us: int = 0
    done: int = 0
    known: int = 0


EXTENSIONS = "+"
"""The lane of what running streams asked for beyond their reservation, without waiting."""

encode = msgspec.msgpack.Encoder().encode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
decode_welcome = msgspec.msgpack.Decoder(Welcome).decode


def refund(unused: int, level_micro: int, at_us: int, gone_micro: int) -> Refund:
    """Amounts in micro-units, split as the scripts want them."""
    return Refund(unused, *divmod(level_micro, MICRO), at_us, *divmod(gone_micro, MICRO))
