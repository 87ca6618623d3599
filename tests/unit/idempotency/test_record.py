"""What is kept, and what a request does that finds its key used."""

import pytest

from service.idempotency.record import Answer, Record, Step, is_kept, next_step

BODY, OTHER = b"b" * 32, b"o" * 32
ANSWER = Answer(200, [], b"{}")


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        *(pytest.param(status, True, id=str(status)) for status in (200, 201, 204, 299, 400, 404, 413, 422)),
        *(
            pytest.param(status, False, id=str(status))
            for status in (199, 301, 401, 403, 405, 408, 409, 410, 415, 429, 431, 500, 502, 503, 504)
        ),
    ],
)
def test_what_is_kept(status: int, kept: bool) -> None:
    assert is_kept(status) is kept


def running(worker: str, stream_id: str = "") -> Record:
    return Record("claim", BODY, worker, running=True, stream_id=stream_id)


@pytest.mark.parametrize(
    ("record", "body_hash", "alone", "unheard", "step"),
    [
        pytest.param(
            Record("claim", BODY, "one", running=False, answer=ANSWER), BODY, False, "", Step.SERVE, id="kept"
        ),
        pytest.param(
            Record("claim", BODY, "one", running=False, answer=ANSWER),
            OTHER,
            True,
            "",
            Step.SERVE,
            id="kept-other-body",
        ),
        pytest.param(
            Record("claim", BODY, "one", running=False, stream_id="s"),
            BODY,
            True,
            "",
            Step.SERVE,
            id="stream-that-ended",
        ),
        pytest.param(running("mine"), BODY, False, "", Step.TAKE_OVER, id="mine-that-nobody-runs"),
        pytest.param(running("mine", "s"), OTHER, False, "", Step.TAKE_OVER, id="my-lost-stream"),
        pytest.param(running("one"), BODY, True, "", Step.TAKE_OVER, id="a-dead-worker's"),
        pytest.param(running("one"), OTHER, True, "", Step.TAKE_OVER, id="a-dead-worker's-other-body"),
        pytest.param(running("one"), BODY, False, "", Step.WAIT, id="another-worker's"),
        pytest.param(running("one"), OTHER, False, "", Step.SERVE, id="another-worker's-other-body"),
        pytest.param(running("one", "s"), BODY, False, "", Step.SERVE, id="another-worker's-stream"),
        pytest.param(running("one"), BODY, False, "claim", Step.CONFLICT, id="nobody-hears"),
        pytest.param(running("one"), BODY, False, "older", Step.WAIT, id="nobody-heard-of-an-older-one"),
    ],
)
def test_the_next_step(record: Record, body_hash: bytes, alone: bool, unheard: str, step: Step) -> None:
    assert next_step(record, body_hash, tag="mine", alone=alone, unheard=unheard) is step


@pytest.mark.parametrize(
    ("record", "step"),
    [
        pytest.param(running("one"), Step.TAKE_OVER, id="nothing-came-of-it"),
        pytest.param(running("one", "s"), Step.SERVE, id="it-streams"),
        pytest.param(
            Record("claim", BODY, "one", running=False, answer=ANSWER), Step.SERVE, id="it-was-answered"
        ),
    ],
)
def test_what_came_of_a_call_that_is_over(record: Record, step: Step) -> None:
    assert next_step(record, BODY, tag="mine", alone=False, over="claim") is step


def test_that_an_older_call_is_over_says_nothing() -> None:
    assert next_step(running("one"), BODY, tag="mine", alone=False, over="older") is Step.WAIT
