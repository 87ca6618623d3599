"""What is known of a key that was used, and what to do about it. Pure.

Three things can stand behind a key: a call that still runs (some worker's claim), an answer that
was kept, and a stream that was sent to its end.
"""

from enum import Enum
from typing import Final

import msgspec

Headers = list[tuple[bytes, bytes]]

KEPT_STATUSES: Final = frozenset({400, 404, 413, 422})
"""Beside 2xx: the same request would be answered so again. All others may end differently next time."""


def is_kept(status: int) -> bool:
    """Whether an answer of this status is kept for whoever sends the request again."""
    return 200 <= status < 300 or status in KEPT_STATUSES


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. headers: without those that belong to one request (its id, its origin)."""

    status: int
    headers: Headers
    body: bytes


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One request's wish to run a key's call. scope, body_hash: see `key`. id: unique."""

    scope: bytes
    body_hash: bytes
    id: str


class Record(msgspec.Struct, frozen=True, gc=False):
    """What stands behind a key.

    claim_id, worker: whose call it is, and the tag of its worker. running: it is not over yet.
    stream_id: the stream that it sends or sent, "" for none. answer: if one was kept.
    """

    claim_id: str
    body_hash: bytes
    worker: str
    running: bool
    stream_id: str = ""
    answer: Answer | None = None

    @property
    def servable(self) -> bool:
        """Whether there is anything to give to a request with its body."""
        return not self.running or bool(self.stream_id)


class Step(Enum):
    """What a request does that finds its key used."""

    SERVE = "give the kept answer, join the stream, or refuse another body"
    TAKE_OVER = "its worker is dead, or its call came to nothing: run the call anew"
    WAIT = "ask its worker to tell when it is over"
    CONFLICT = "its worker can't be reached"


def next_step(
    record: Record, body_hash: bytes, *, tag: str, alone: bool, over: str = "", unheard: str = ""
) -> Step:
    """What to do about `record`, which nobody in this worker runs.

    tag: this worker's. alone: no other worker can be alive. over: the id of the claim whose worker told
    that it is over; what came of it is in `record`, if anything did. unheard: the same of one that did
    not hear. "" for none.
    """
    if not record.running:
        return Step.SERVE
    if alone or record.worker == tag:
        return Step.TAKE_OVER
    if record.body_hash != body_hash or record.stream_id:
        return Step.SERVE
    if record.claim_id == over:
        return Step.TAKE_OVER
    return Step.CONFLICT if record.claim_id == unheard else Step.WAIT
