"""Every home of limits under a model checker's eye: never over a limit, never a leak."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contract.homes import HOMES
from tests.contract.limit_machine import machine_of

EXACT = {"memory"}
"""Homes that know all at any time; others may err on the safe side."""
EXAMPLES = {"memory": 150}
STEPS = 40


# What fails is made smaller before it is shown, which may take minutes.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", HOMES)
def test_no_sequence_of_steps_leads_over_a_limit_or_leaks(name: str) -> None:
    run_state_machine_as_test(
        machine_of(HOMES[name], exact=name in EXACT),
        settings=settings(
            max_examples=EXAMPLES.get(name, 30),
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
