"""When a failing server is left alone, and when it is tried again."""

from service.limits.breaker import Breaker, BreakerState

PAUSE_US = 500_000


def _opened() -> Breaker:
    breaker = Breaker(failures=2, pause_us=PAUSE_US)
    breaker.failed(0)
    breaker.failed(0)
    return breaker


def test_it_opens_with_the_failure_that_is_one_too_many_and_says_so_once() -> None:
    breaker = Breaker(failures=2, pause_us=PAUSE_US)
    assert [breaker.failed(0), breaker.failed(1), breaker.failed(2)] == [False, True, False]
    assert breaker.state is BreakerState.OPEN and not breaker.closed


def test_a_success_between_two_failures_keeps_it_closed() -> None:
    breaker = Breaker(failures=2, pause_us=PAUSE_US)
    assert not breaker.failed(0)
    assert not breaker.succeeded()
    assert not breaker.failed(1)
    assert breaker.closed


def test_while_open_nobody_asks_until_the_pause_is_over_and_then_one_does() -> None:
    breaker = _opened()
    assert [breaker.allows(at) for at in (0, PAUSE_US - 1, PAUSE_US, PAUSE_US + 1)] == [
        False,
        False,
        True,
        False,
    ]
    assert breaker.state is BreakerState.HALF_OPEN


def test_a_probe_that_fails_begins_another_pause_and_is_no_news() -> None:
    breaker = _opened()
    assert breaker.allows(PAUSE_US)
    assert not breaker.failed(PAUSE_US + 7)
    assert not breaker.allows(2 * PAUSE_US + 6)
    assert breaker.allows(2 * PAUSE_US + 7)


def test_a_probe_that_succeeds_closes_it_and_says_so_once() -> None:
    breaker = _opened()
    assert breaker.allows(PAUSE_US)
    assert [breaker.succeeded(), breaker.succeeded()] == [True, False]
    assert breaker.allows(PAUSE_US) and breaker.closed


def test_after_it_closed_it_takes_as_many_failures_as_before_to_open() -> None:
    breaker = _opened()
    breaker.allows(PAUSE_US)
    breaker.succeeded()
    assert not breaker.failed(PAUSE_US)
    assert breaker.closed
