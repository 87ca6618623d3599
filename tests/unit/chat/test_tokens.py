"""The estimate of a prompt's tokens, marked as one."""

import msgspec
import pytest

from service.chat.tokens import estimate_input_tokens
from service.wire import strict


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        pytest.param(b'{"model":"m","messages":""}', 1, id="at-least-one"),
        pytest.param(b'{"model":"m"}', 1, id="nothing-to-count"),
        pytest.param(b'{"messages":["12345678901234567890"]}', 6, id="four-bytes-a-token"),
        pytest.param(b'{"messages":["123456789012345678901"]}', 7, id="rounded-up"),
        pytest.param('{"messages":["üüüüüüüüüü"]}'.encode(), 6, id="bytes-not-characters"),
        pytest.param(
            b'{"messages":["1234"],"system":"123456","tools":[1,2]}', 6, id="system-and-tools-count"
        ),
        pytest.param(
            b'{"messages":["1234"],"metadata":{"user_id":"a very long one"}}', 2, id="metadata-does-not"
        ),
    ],
)
def test_estimate(body: bytes, tokens: int) -> None:
    answer = msgspec.json.decode(estimate_input_tokens(strict.members(body)))
    assert answer == {"input_tokens": tokens, "estimated": True}
