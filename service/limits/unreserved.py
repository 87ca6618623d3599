"""What a request used of shared budgets that it holds nothing of: set since it began, or taken away for a while."""

from collections.abc import Iterable
from typing import Protocol

from service.limits.accounts import Account
from service.limits.base import Used
from service.limits.held import Held


class Teller(Protocol):
    """Who tells Redis: `service.limits.courier.Courier`."""

    def touch(self, account: Account) -> None:
        """There is something to tell of it."""

    def book(self, account: Account, owner: str, finished_at: float, amount: int) -> None:
        """Tell of an amount without a reservation, unless that owner has."""


def spend(accounts: Iterable[Account], used: Used, held: Held | None, teller: Teller) -> None:
    """Have it told, of those accounts that `held` doesn't settle."""
    for account in accounts:
        amount = account.spent_of(used)
        if not amount or (held is not None and held.settles(account)):
            continue
        if account.counted:
            account.spend(amount, used.finished_at)
            teller.touch(account)
        else:
            # Whether the ledger's sum has it already, Redis can say.
            teller.book(account, "", used.finished_at, amount)
