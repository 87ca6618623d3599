"""What a call costs its caller: what is reserved, what is sent, and the one row at its end, whatever that is."""

import asyncio
from typing import Any

import msgspec
import pytest

from service.config import Retries
from service.config.limits import Budget
from service.errors import (
    BudgetExceeded,
    LimitExceeded,
    PermissionDenied,
    ProviderFailed,
    StoreUnavailable,
)
from service.pricing.arithmetic import Rates
from service.principal import Principal
from service.providers.base import Fault, FaultKind
from service.usage.row import LedgerRow, Outcome
from tests.fakes.accounts import (
    INPUT_BOUND,
    INPUT_ESTIMATE,
    RICH,
    answered,
    asked,
    holder,
    only,
    spent,
    tokens,
)
from tests.fakes.chat import COMPLETION, kitchen, order, refused, whole
from tests.fakes.loops import virtual_time
from tests.fakes.upstream import Head, Pause, Script

TRUNCATED = COMPLETION[:-40]
REFUSING = b'{"error":{"message":"No.","type":"server_error"}}'
STALL = Fault(FaultKind.STALLED, "Idle.", reason="timeout_idle")
LATE = Fault(FaultKind.TIMED_OUT, "Late.", reason="timeout_first_token")
NO_CONNECTION = Fault(FaultKind.TIMED_OUT, "No connection.", reason="timeout_connect")
RESET = Fault(FaultKind.CUT, "Broken off.", reason="cut")
NOT_THERE = Fault(FaultKind.UNREACHABLE, "Refused.", reason="connect")

ENDS = [
    pytest.param(whole(), "complete", (3, 2), False, id="complete"),
    pytest.param(refused(500), "upstream_error", (0, 0), False, id="500"),
    pytest.param(refused(400), "upstream_error", (0, 0), False, id="400"),
    pytest.param(whole(b"<html>" * 50), "upstream_error", (0, 0), False, id="html-is-no-answer"),
    pytest.param(whole(REFUSING), "upstream_error", (0, 0), False, id="an-error-in-a-200"),
    pytest.param(whole(TRUNCATED), "upstream_truncated", (6, -(-len(TRUNCATED) // 4)), True, id="truncated"),
    pytest.param(
        [Head(200, {}), b"x" * 20, RESET], "upstream_truncated", (6, 5), True, id="reset-in-the-body"
    ),
    pytest.param([Head(200, {}), b"x" * 20, STALL], "timeout", (6, 5), True, id="stalled-in-the-body"),
    pytest.param([LATE], "timeout", (6, 0), True, id="silence"),
    pytest.param(NO_CONNECTION, "timeout", (0, 0), False, id="no-connection"),
    pytest.param(NOT_THERE, "upstream_error", (0, 0), False, id="connection-refused"),
]


@pytest.mark.parametrize(("script", "outcome", "used", "estimated"), ENDS)
@virtual_time
async def test_whole_answers_ends(
    script: Script | Exception, outcome: str, used: tuple[int, int], estimated: bool
) -> None:
    """One row, the budget's loss is the row's tokens, and nothing is held."""
    made = kitchen({"a": [script]}, retries=Retries(max_attempts=1))
    await answered(made, order(principal=RICH))
    row = only(made)
    assert (row.outcome, row.estimated) == (outcome, estimated)
    assert (row.input_tokens, row.output_tokens) == used
    assert row.cost_nano_usd == used[0] * 1000 + used[1] * 2000
    assert await spent(made, RICH) == sum(used)


async def test_an_error_of_our_own_is_no_clients_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held is given back, and the row says whose fault it was."""
    made = kitchen({"a": [whole()]})

    def broken(body: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(made.service._providers["a"].codec, "read_answer", broken)
    with pytest.raises(ZeroDivisionError):
        await made.service.answer(order(principal=RICH))
    assert only(made).outcome is Outcome.GATEWAY_CRASH
    assert made.limits.running == 0


async def test_a_row_that_can_t_be_made_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails at the end, the reservation is settled."""
    made = kitchen({"a": [whole()]})

    def broken(row: LedgerRow) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(made.ledger, "end", broken)
    with pytest.raises(ZeroDivisionError):
        await made.service.answer(order(principal=RICH))
    assert await spent(made, RICH) == 5


UNDONE = [
    pytest.param([refused(429, retry_after="3")], (0, 0), id="while-it-waits-to-ask-again"),
    pytest.param([refused(503), [Pause(100)]], (6, 0), id="in-the-second-attempt"),
    pytest.param([[LATE], [Pause(100)]], (6, 0), id="after-one-that-may-have-worked"),
    pytest.param([[Head(200, {}), b"x" * 20, Pause(100)]], (6, 5), id="in-the-body"),
]


@pytest.mark.parametrize(("scripts", "used"), UNDONE)
@virtual_time
async def test_a_client_that_leaves(scripts: list[Script], used: tuple[int, int]) -> None:
    """It pays what may have been generated, and not for what was refused."""
    made = kitchen({"a": scripts})
    task = asyncio.ensure_future(made.service.answer(order(principal=RICH)))
    await asyncio.sleep(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    row = only(made)
    assert (row.input_tokens, row.output_tokens) == used
    assert await spent(made, RICH) == sum(used)


@virtual_time
async def test_the_row_is_of_the_attempt_that_answered() -> None:
    """Its target and price, and all attempts; nothing of an earlier answer is counted."""
    page = whole(b"<html>" * 500)
    made = kitchen(
        {"a": [page], "b": [whole()]},
        fallbacks=("b",),
        rates={"b": Rates(0, 0, 0, 5_000_000)},
        retries=Retries(max_attempts=2),
    )
    call = order(principal=RICH)
    assert await answered(made, call) is None
    row = only(made)
    assert (row.target, row.attempts, row.model) == ("b/b-1", 2, "fast")
    assert (row.input_tokens, row.output_tokens, row.cost_nano_usd) == (3, 2, 10_000)
    made = kitchen({"a": [page], "b": [refused(500)]}, fallbacks=("b",), retries=Retries(max_attempts=2))
    assert isinstance(await answered(made, order(principal=RICH)), ProviderFailed)
    assert (only(made).target, only(made).input_tokens, only(made).output_tokens) == ("b/b-1", 0, 0)


RESERVED = [
    pytest.param({"max_tokens": 10}, 10, id="max-tokens"),
    pytest.param({"max_tokens": 10, "max_completion_tokens": 20}, 20, id="the-larger-of-two"),
    pytest.param({"max_tokens": 10, "n": 3}, 30, id="for-each-of-n"),
    pytest.param({}, 100, id="the-models-own"),
    pytest.param({"n": 2}, 200, id="the-models-own-for-each"),
]


@pytest.mark.parametrize(("members", "output"), RESERVED)
@virtual_time
async def test_what_is_reserved_is_the_most_that_can_come(members: dict[str, Any], output: int) -> None:
    """A budget of exactly that admits one at a time; one token less admits none."""
    exact = holder(tokens(INPUT_BOUND + output))
    made = kitchen({"a": [whole(), whole()]}, max_output_tokens={"a": 100})
    running = asyncio.ensure_future(made.service.answer(asked(exact, members)))
    await made.upstreams["a"].opened()
    assert isinstance(await answered(made, asked(exact, members)), BudgetExceeded)
    await running
    less = holder(tokens(INPUT_BOUND + output - 1))
    made = kitchen({"a": []}, max_output_tokens={"a": 100})
    assert isinstance(await answered(made, asked(less, members)), BudgetExceeded)
    assert not made.calls and not made.ledger.rows and not made.ledger.begun


@virtual_time
async def test_money_is_reserved_for_the_dearest_fallback() -> None:
    """At the dearest class of input, and the longest answer of all that may answer."""
    dear = Rates(input=1_000_000, cached_input=0, cache_write=3_000_000, output=4_000_000)
    bound = INPUT_BOUND * 3000 + 200 * 4000
    for usd, admitted in ((bound / 1e9, True), ((bound - 1) / 1e9, False)):
        made = kitchen(
            {"a": [whole()], "b": []},
            fallbacks=("b",),
            rates={"b": dear},
            max_output_tokens={"a": 100, "b": 200},
        )
        error = await answered(made, order(principal=holder(Budget(usd=usd, per="month"))))
        assert (error is None) is admitted


@virtual_time
async def test_each_target_is_sent_its_own_maximum() -> None:
    """Although the larger one was reserved: a model refuses a maximum that is beyond its own."""
    made = kitchen(
        {"a": [refused(503)], "b": [whole()]},
        fallbacks=("b",),
        retries=Retries(max_attempts=2),
        max_output_tokens={"a": 100, "b": 200},
    )
    assert await answered(made, order(principal=RICH)) is None
    sent = [msgspec.json.decode(up.calls[0].request.body) for up in made.upstreams.values()]
    assert [body["max_tokens"] for body in sent] == [100, 200]


@pytest.mark.parametrize(
    ("principal", "members", "sent"),
    [
        pytest.param(RICH, {"max_tokens": 7}, 7, id="the-callers-own"),
        pytest.param(RICH, {}, 4096, id="the-models-where-a-budget-counts"),
        pytest.param(holder(tokens_per_minute=10**6), {}, None, id="none-for-a-rate"),
        pytest.param(holder(), {}, None, id="none-without-limits"),
    ],
)
@virtual_time
async def test_the_maximum_that_is_sent(
    principal: Principal, members: dict[str, Any], sent: int | None
) -> None:
    """Only a budget adds one."""
    made = kitchen({"a": [whole()]})
    assert await answered(made, asked(principal, members)) is None
    assert msgspec.json.decode(made.upstreams["a"].calls[0].request.body).get("max_tokens") == sent


@virtual_time
async def test_a_price_that_is_not_known() -> None:
    """Refused under a budget of money, also where only a fallback's is not known; else a row without a cost."""
    made = kitchen({"a": [whole()], "b": [whole()]}, fallbacks=("b",), rates={"b": None})
    assert isinstance(await answered(made, order(principal=RICH)), PermissionDenied)
    assert made.limits.running == 0 and not made.calls
    assert await answered(made, order("b", principal=holder(tokens(10**6)))) is None
    assert (only(made).cost_nano_usd, only(made).output_tokens) == (None, 2)


@virtual_time
async def test_a_full_journal_begins_nothing() -> None:
    """What can't be written down isn't asked."""
    made = kitchen({"a": []})
    made.ledger.full = True
    assert isinstance(await answered(made, order(principal=RICH)), StoreUnavailable)
    assert made.limits.running == 0


@virtual_time
async def test_a_rate_of_tokens_gets_back_what_was_not_used() -> None:
    """And a slot is free as soon as its call is over."""
    principal = holder(tokens_per_minute=INPUT_ESTIMATE + 100, concurrent_requests=1)
    made = kitchen({"a": [whole(), refused(400), whole()]})
    for _ in range(3):
        error = await answered(made, order(max_tokens=80, principal=principal))
        assert not isinstance(error, LimitExceeded)
    assert made.limits.running == 0


@virtual_time
async def test_headers_of_limits_come_once_and_with_every_end() -> None:
    """They are there for a refusal by the provider too."""
    made = kitchen({"a": [refused(503), whole()]})
    call = order(principal=holder(requests_per_minute=5))
    assert await answered(made, call) is None
    names = [name for name, _ in call.extra_headers]
    assert len(names) == len(set(names)) and b"ratelimit" in names


@virtual_time
async def test_a_thousand_calls_of_many_kinds_add_up() -> None:
    """The counter is the sum of the rows, and never passed the cap."""
    principal = holder(tokens(20_000))
    scripts: list[Script] = [whole(), refused(500), whole(TRUNCATED), [Pause(1), *whole()]] * 250
    made = kitchen({"a": scripts}, retries=Retries(max_attempts=1))
    calls = [answered(made, order(max_tokens=80, principal=principal)) for _ in range(1000)]
    errors = await asyncio.gather(*calls)
    admitted = len(made.ledger.rows)
    assert 0 < admitted == len(made.calls) < 1000
    assert sum(isinstance(error, BudgetExceeded) for error in errors) == 1000 - admitted
    assert len(made.ledger.begun) == admitted
    total = sum(row.input_tokens + row.output_tokens for row in made.ledger.rows)
    assert await spent(made, principal) == total <= 20_000
