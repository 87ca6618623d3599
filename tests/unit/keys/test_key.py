"""A key's states, and its changes."""

import pytest
from msgspec.structs import replace

from service.config.limits import Budget, Limits
from service.errors import InvalidRequest
from service.keys.key import Key, State, revoked, rotated
from service.principal import USER_SCOPES, Principal, Scope

OLD, NEW, NEWER = b"o" * 32, b"n" * 32, b"m" * 32
KEY = Key(id="k" * 16, name="ci", secret_hash=OLD)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(KEY, State.ACTIVE, id="without-an-end"),
        pytest.param(replace(KEY, expires_at=100.5), State.ACTIVE, id="before-its-end"),
        pytest.param(replace(KEY, expires_at=100.0), State.EXPIRED, id="at-its-end"),
        pytest.param(replace(KEY, expires_at=0.0), State.EXPIRED, id="at-the-beginning-of-time"),
        pytest.param(replace(KEY, revoked_at=100.0), State.REVOKED, id="revoked"),
        pytest.param(replace(KEY, revoked_at=200.0), State.REVOKED, id="revoked-by-a-clock-that-is-ahead"),
        pytest.param(replace(KEY, revoked_at=0.0), State.REVOKED, id="revoked-at-the-beginning-of-time"),
        pytest.param(replace(KEY, revoked_at=1.0, expires_at=1.0), State.REVOKED, id="revoked-says-more"),
    ],
)
def test_states(key: Key, expected: State) -> None:
    assert key.state(100.0) is expected


def test_a_rotation_opens_with_both_secrets_until_the_overlaps_end() -> None:
    """To the moment."""
    key = rotated(KEY, NEW, now=100.0, overlap_seconds=60.0)
    assert key.opens(NEW, 100.0) and key.opens(OLD, 100.0) and key.opens(OLD, 159.9)
    assert key.opens(NEW, 160.0) and not key.opens(OLD, 160.0)
    assert not key.opens(NEWER, 100.0)


def test_a_rotation_without_overlap_ends_the_old_secret_at_once() -> None:
    """Nothing of it is kept."""
    key = rotated(KEY, NEW, now=100.0, overlap_seconds=0.0)
    assert key.opens(NEW, 100.0) and not key.opens(OLD, 100.0) and not key.opens(OLD, 0.0)
    assert key.previous_hash is None


def test_two_rotations_leave_two_secrets() -> None:
    """The oldest ends with the second, whatever its overlap was."""
    key = rotated(rotated(KEY, NEW, 100.0, 60.0), NEWER, 101.0, 60.0)
    assert [key.opens(each, 102.0) for each in (OLD, NEW, NEWER)] == [False, True, True]


def test_a_revoked_key_gets_no_new_secret() -> None:
    """It would look like life."""
    with pytest.raises(InvalidRequest, match="revoked, and that is final"):
        rotated(revoked(KEY, 1.0), NEW, 2.0, 0.0)


def test_revoking_twice_is_revoking_once() -> None:
    """The first moment stands."""
    assert revoked(revoked(KEY, 1.0), 2.0) == revoked(KEY, 1.0) != KEY


def test_whom_it_stands_for() -> None:
    """With the defaults' limits where it says nothing."""
    key = replace(
        KEY,
        tenant="acme",
        user="ada",
        models=("a", "b"),
        scopes=frozenset({Scope.CHAT}),
        limits=Limits(requests_per_minute=5),
    )
    defaults = Limits(requests_per_minute=9, burst=90, budgets=(Budget(usd=1, per="day"),))
    assert key.to_principal(defaults) == Principal(
        key_id=KEY.id,
        tenant="acme",
        user="ada",
        models=frozenset({"a", "b"}),
        scopes=frozenset({Scope.CHAT}),
        limits=Limits(requests_per_minute=5, budgets=defaults.budgets),
    )
    assert KEY.to_principal(defaults).scopes == USER_SCOPES


def test_its_hashes_are_not_shown() -> None:
    """They are no secrets, but nobody needs them in a log."""
    shown = repr(rotated(KEY, NEW, 0.0, 1.0))
    assert "ooo" not in shown and "nnn" not in shown and KEY.id in shown
