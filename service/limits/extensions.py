"""What running streams hold beyond their reservation, asked for without waiting.

A stream that has used its bound can't wait for the next exchange, so this holds up the loop for one round
trip; it is rare. It has a lane of its own, in which amounts are told whole and the last one counts, so it
doesn't matter which of the two is done first when one of the courier's exchanges is on its way.
"""

from collections.abc import Callable

from service.limits.accounts import Account
from service.limits.base import Meter
from service.limits.link import Link, LinkDown
from service.limits.wire import EXTENSIONS, Answer, Exchange, Status, Verdict, decode_answer, encode

REST_US = 500_000
"""After a failure nobody holds up the loop for as long."""
MAX_CELLS = 256

Grown = dict[Account, tuple[Meter, int]]
"""How much more, and under which limit."""


class Extensions:
    """The lane. first: its sequence goes on from there. changed: those whose amount is to be told."""

    def __init__(self, link: Link, owner: str, lasts_us: int, now: Callable[[], float], first: int) -> None:
        self._link = link
        self._owner = owner
        self._lasts_us = lasts_us
        self._now = now
        self._sequence = first
        self._rests_until_us = 0
        self.changed: set[Account] = set()

    def extend(self, grown: Grown, generation: str, now_us: int) -> bool:
        """Hold more of all these or of none. False too where Redis didn't answer: then `changed` has them."""
        if now_us < self._rests_until_us:
            return False
        try:
            answer = decode_answer(self._link.call_now("exchange", self._words(grown, generation)))
        except LinkDown:
            # It may have been done, or may yet be.
            self.changed.update(grown)
            self._rests_until_us = now_us + REST_US
            return False
        if answer.status != Status.OK or answer.verdicts[0][0] != Verdict.TAKEN:
            return False
        for account, (_, amount) in grown.items():
            account.extended += amount
        return True

    def shrink(self, account: Account, amount: int) -> None:
        """Its stream has ended."""
        account.shrink(amount)
        self.changed.add(account)

    def ripe(self) -> list[Account]:
        """Whose amount may be told now, for all that was spent of it is."""
        return [account for account in self.changed if account.all_told][:MAX_CELLS]

    async def tell(self, accounts: list[Account], generation: str) -> bool:
        """What they hold in truth. False: Redis didn't do it. Raises LinkDown."""
        self.changed.difference_update(accounts)
        done = False
        try:
            words = self._words({account: (account.meter, 0) for account in accounts}, generation)
            answer: Answer = decode_answer(await self._link.call("exchange", words))
            # One that is stale was overtaken by a later one, which need not have told of all these.
            done = answer.status == Status.OK
        finally:
            if not done:
                self.changed.update(accounts)
        return done

    def _words(self, grown: Grown, generation: str) -> bytes:
        self._sequence += 1
        now = self._now()
        for account in grown:
            # Before what was spent of it counts in Redis, what has ended could be another's too.
            if account.all_told:
                account.ended = 0
        cells = [account.tell_extended(meter, now) for account, (meter, _) in grown.items()]
        asks = [item for number, (_, amount) in enumerate(grown.values(), 1) for item in (number, amount)]
        demands = [asks] if any(asks[1::2]) else []
        return encode(
            Exchange(
                generation,
                self._owner,
                EXTENSIONS,
                self._sequence,
                self._lasts_us,
                False,
                cells,
                demands,
                [],
            )
        )
