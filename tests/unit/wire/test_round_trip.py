"""Every request that a Struct can hold is written, checked and read again without a change."""

from typing import Any

import msgspec
import pytest

from service.wire import strict
from tests.factories import FACTORIES, RequestFactory

EACH = [pytest.param(factory, id=factory.__model__.__name__) for factory in FACTORIES]
SEEDS = range(15)


@pytest.mark.parametrize("factory", EACH)
def test_a_request_survives_the_wire(factory: type[RequestFactory[Any]]) -> None:
    """As a Struct, and spread out over lines; the checks of its raw bytes find all of its members."""
    for seed in SEEDS:
        factory.seed_random(seed)
        request = factory.build()
        body = msgspec.json.encode(request)
        plain = msgspec.json.decode(body)
        assert msgspec.json.decode(body, type=type(request)) == request, f"seed {seed}"
        spread = msgspec.json.format(body, indent=2)
        read = msgspec.json.decode(spread, type=type(request))
        assert msgspec.json.decode(msgspec.json.encode(read)) == plain, f"seed {seed}"
        assert set(strict.members(body)) == set(strict.members(spread)) == set(plain), f"seed {seed}"


@pytest.mark.parametrize("factory", EACH)
def test_a_request_survives_being_taken_apart(factory: type[RequestFactory[Any]]) -> None:
    """As it is forwarded: its members, each its own bytes, put together again."""
    for seed in SEEDS:
        factory.seed_random(seed)
        request = factory.build()
        members = strict.members(msgspec.json.encode(request))
        assert msgspec.json.decode(msgspec.json.encode(members), type=type(request)) == request, (
            f"seed {seed}"
        )
