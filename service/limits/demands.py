"""What requests want of Redis, and what becomes of it. No I/O and no clock."""

import asyncio
from enum import Enum, auto

import msgspec

from service.limits.accounts import Account, Top
from service.limits.base import Kind
from service.limits.wire import Form, Verdict


class Part(msgspec.Struct, frozen=True, gc=False):
    """What a demand wants of one account. pledged: of what was idle. asked: of Redis."""

    account: Account
    pledged: int
    asked: int


class Away(Enum):
    """Instead of a verdict."""

    AWAY = auto()


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What became of a demand.

    faults: the accounts that stand in its way. tops: the level of each part's rate right after it was
    taken, as `Account.correct` wants it; None for what is no rate.
    """

    verdict: Verdict | Away
    faults: tuple[Account, ...] = ()
    tops: tuple[Top | None, ...] = ()


class Demand:
    """What is to be had from Redis wholly or not at all. reply: its result, once. look: take nothing."""

    __slots__ = ("look", "parts", "reply")

    def __init__(self, parts: list[Part], reply: asyncio.Future[Reply], *, look: bool) -> None:
        self.parts = parts
        self.reply = reply
        self.look = look

    def asks(self, numbers: dict[Account, int]) -> list[int]:
        """For the script; of those that it only looks at, only whether they are counted yet."""
        asks: list[int] = []
        for part in self.parts:
            if not self.look or part.account.form is Form.BUDGET:
                asks += (numbers[part.account], part.asked)
        return asks

    def answer(self, reply: Reply) -> None:
        """Tell whoever waits. What was granted to somebody who no longer does is given back."""
        taken = reply.verdict is Verdict.TAKEN
        if not self.look:
            for part in self.parts:
                if taken:
                    part.account.receive(part.pledged, part.asked)
                else:
                    part.account.unpledge(part.pledged)
        if not self.reply.done():
            self.reply.set_result(reply)
        elif taken:
            self.undo(reply)

    def undo(self, reply: Reply) -> None:
        """Give back what was granted."""
        if self.look:
            return
        for part, top in zip(self.parts, reply.tops, strict=True):
            amount = part.pledged + part.asked
            if part.account.form is not Form.RATE:
                part.account.release(amount, 0, leased=True)
            elif top is not None and part.account.kind is Kind.TOKENS:
                part.account.correct(amount, 0, top)

    def repledge(self) -> None:
        """What was pledged is lost: ask for all of it."""
        for part in self.parts:
            part.account.pledged -= part.pledged
        self.parts = [Part(part.account, 0, part.asked + part.pledged) for part in self.parts]
