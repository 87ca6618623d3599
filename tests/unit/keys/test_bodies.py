"""What the admin API takes and shows."""

from typing import Any

import msgspec
import pytest

from service.config.limits import UNLIMITED, Budget, Limits
from service.errors import InvalidRequest
from service.keys import bodies, changes
from service.keys.bodies import ChangeKey, CreateKey, RotateKey
from service.keys.key import Key, State, revoked, rotated
from service.principal import USER_SCOPES, Scope

HASH = b"h" * 32
BUDGETS = (Budget(usd=25.0, per="month"), Budget(tokens=9, per="day", alert_at=0.5))


def created(**members: Any) -> Key:
    """The key that a body makes."""
    body = msgspec.json.decode(msgspec.json.encode({"name": "ci", **members}), type=CreateKey)
    return changes.created(body, "k" * 16, HASH)


def changed(key: Key, **members: Any) -> Key:
    """`key` as a change's body makes it."""
    return changes.changed(key, msgspec.json.decode(msgspec.json.encode(members), type=ChangeKey))


SENT: dict[str, Any] = {
    "tenant": "acme",
    "user": "ada",
    "models": ["a", "b"],
    "scopes": ["chat", "admin"],
    "limits": {"requests_per_minute": 5, "burst": 7},
    "budgets": [{"usd": 25, "per": "month"}, {"tokens": 9, "per": "day", "alert_at": 0.5}],
    "expires_at": 4_000_000_000,
    "metadata": {"team": "blue", "seat": "4"},
}
FULL = created(**SENT)


def test_a_name_is_enough() -> None:
    """It may do everything but administer, with every model, for ever."""
    assert created() == Key(id="k" * 16, name="ci", secret_hash=HASH)
    assert created().scopes == USER_SCOPES


def test_all_members() -> None:
    expected = Key(
        id="k" * 16,
        name="ci",
        tenant="acme",
        user="ada",
        models=("a", "b"),
        scopes=frozenset({Scope.CHAT, Scope.ADMIN}),
        limits=Limits(requests_per_minute=5, burst=7, budgets=BUDGETS),
        metadata={"team": "blue", "seat": "4"},
        secret_hash=HASH,
        expires_at=4_000_000_000.0,
    )
    assert created(**SENT) == expected


def test_null_is_leaving_out() -> None:
    names = [name for name in CreateKey.__struct_fields__ if name != "name"]
    assert created(**dict.fromkeys(names)) == created()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        pytest.param({"naam": "x"}, "unknown field `naam`", id="an-unknown-member"),
        pytest.param({"limits": {"rpm": 5}}, "unknown field `rpm` - at `$.limits`", id="of-limits"),
        pytest.param(
            {"budgets": [{"usd": 5, "per": "day", "hard": True}]},
            "unknown field `hard` - at `$.budgets[0]`",
            id="of-a-budget",
        ),
        pytest.param({"name": ""}, "$.name", id="no-name"),
        pytest.param({"name": "a\nb"}, "$.name", id="a-name-of-two-lines"),
        pytest.param({"name": "a\x00"}, "$.name", id="a-name-with-nul"),
        pytest.param({"name": "x" * 257}, "$.name", id="a-long-name"),
        pytest.param({"name": None}, "$.name", id="null-for-a-name"),
        pytest.param({"tenant": ""}, "$.tenant", id="an-empty-tenant"),
        pytest.param({"models": []}, "$.models", id="no-models-would-be-all"),
        pytest.param({"models": [""]}, "$.models", id="a-model-without-name"),
        pytest.param({"scopes": ["chat", "root"]}, "'root' - at `$.scopes[1]`", id="an-unknown-scope"),
        pytest.param({"scopes": []}, "$.scopes", id="a-key-for-nothing"),
        pytest.param(
            {"limits": {"requests_per_minute": 0}}, "$.limits.requests_per_minute", id="no-requests"
        ),
        pytest.param({"limits": {"burst": 10**13}}, "$.limits.burst", id="a-burst-beyond-all-traffic"),
        pytest.param(
            {"limits": {"tokens_per_minute": 1.5}}, "$.limits.tokens_per_minute", id="a-part-of-a-token"
        ),
        pytest.param(
            {"limits": {"concurrent_requests": True}}, "$.limits.concurrent_requests", id="true-is-no-number"
        ),
        pytest.param(
            {"budgets": [{"per": "day"}]},
            "either `usd` or `tokens` - at `$.budgets[0]`",
            id="a-budget-of-nothing",
        ),
        pytest.param(
            {"budgets": [{"usd": 1, "tokens": 1, "per": "day"}]},
            "either `usd` or `tokens` - at `$.budgets[0]`",
            id="a-budget-of-both",
        ),
        pytest.param({"budgets": [{"usd": 1}]}, "required field `per`", id="a-budget-without-window"),
        pytest.param({"budgets": [{"usd": 1, "per": "hour"}]}, "$.budgets[0].per", id="an-unknown-window"),
        pytest.param({"budgets": [{"usd": 0, "per": "day"}]}, "$.budgets[0].usd", id="a-budget-of-zero"),
        pytest.param(
            {"budgets": [{"usd": 1, "per": "day", "alert_at": 1.1}]}, "alert_at", id="an-alert-beyond"
        ),
        pytest.param({"budgets": [{"usd": 1, "per": "day"}] * 17}, "$.budgets", id="too-many-budgets"),
        pytest.param({"expires_at": "2030-01-01T00:00:00"}, "timezone", id="a-time-without-zone"),
        pytest.param({"expires_at": "tomorrow"}, "$.expires_at", id="no-time"),
        pytest.param({"name": "\x9b31m"}, "$.name", id="a-name-that-steers-a-terminal"),
        pytest.param({"tenant": "a\x85b"}, "$.tenant", id="a-tenant-of-two-lines"),
        pytest.param({"expires_at": -1}, "$.expires_at", id="before-all-time"),
        pytest.param({"expires_at": 1_900_000_000_000}, "$.expires_at", id="milliseconds"),
        pytest.param({"metadata": {"a": 1}}, "$.metadata", id="metadata-that-is-no-text"),
        pytest.param({"metadata": {"a": "x" * 513}}, "$.metadata", id="long-metadata"),
        pytest.param({"metadata": {str(n): "" for n in range(17)}}, "$.metadata", id="much-metadata"),
    ],
)
def test_what_is_refused(members: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        created(**members)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        pytest.param(
            {"budgets": [{"usd": 1, "per": "day"}, {"tokens": 1, "per": "day"}, {"usd": 2, "per": "day"}]},
            "budgets[2]",
            id="two-budgets-of-one-window-and-unit",
        ),
        pytest.param({"limits": {"burst": 5}}, "limits.burst", id="a-burst-without-a-rate"),
        pytest.param({"expires_at": "1969-12-31T23:59:59Z"}, "expires_at", id="a-date-before-all-time"),
        pytest.param({"expires_at": "0001-01-01T00:00:00Z"}, "expires_at", id="the-first-date"),
        pytest.param({"expires_at": "9999-12-31T23:59:59-10:00"}, "expires_at", id="a-date-after-all-time"),
    ],
)
def test_what_no_type_can_refuse(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        created(**members)
    assert refused.value.param == param
    with pytest.raises(InvalidRequest) as refused:
        changed(created(), **members)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        pytest.param(1_900_000_000, 1_900_000_000.0, id="whole-seconds"),
        pytest.param(1_900_000_000.25, 1_900_000_000.25, id="parts-of-a-second"),
        pytest.param("2030-03-17T17:46:40Z", 1_900_000_000.0, id="utc"),
        pytest.param("2030-03-17T19:46:40.5+02:00", 1_900_000_000.5, id="another-zone"),
        pytest.param(0, 0.0, id="long-over"),
    ],
)
def test_times(written: object, seconds: float) -> None:
    assert created(expires_at=written).expires_at == seconds


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"name": "new"}, {"name": "new"}, id="a-name"),
        pytest.param({"tenant": None, "user": None}, {"tenant": "", "user": ""}, id="null-clears-texts"),
        pytest.param({"models": None}, {"models": ()}, id="null-allows-all-models"),
        pytest.param({"models": ["b", "b", "a"]}, {"models": ("b", "a")}, id="each-model-once-in-order"),
        pytest.param({"scopes": None}, {"scopes": USER_SCOPES}, id="null-gives-the-usual-scopes"),
        pytest.param({"expires_at": None}, {"expires_at": None}, id="null-ends-never"),
        pytest.param(
            {"limits": {"tokens_per_minute": 9}},
            {
                "limits": Limits(
                    requests_per_minute=5, burst=7, tokens_per_minute=9, budgets=FULL.limits.budgets
                )
            },
            id="one-limit",
        ),
        pytest.param(
            {"limits": {"burst": None}},
            {"limits": Limits(requests_per_minute=5, budgets=FULL.limits.budgets)},
            id="null-clears-a-limit",
        ),
        pytest.param(
            {"limits": None},
            {"limits": Limits(budgets=FULL.limits.budgets)},
            id="null-clears-limits-not-budgets",
        ),
        pytest.param(
            {"budgets": None}, {"limits": Limits(requests_per_minute=5, burst=7)}, id="null-clears-budgets"
        ),
        pytest.param(
            {"budgets": [{"tokens": 3, "per": "total"}], "limits": None},
            {"limits": Limits(budgets=(Budget(tokens=3, per="total"),))},
            id="budgets-are-replaced",
        ),
        pytest.param({"limits": None, "budgets": []}, {"limits": UNLIMITED}, id="nothing-is-limited"),
        pytest.param(
            {"metadata": {"seat": None, "floor": "2"}},
            {"metadata": {"team": "blue", "floor": "2"}},
            id="metadata-by-member",
        ),
        pytest.param({"metadata": None}, {"metadata": {}}, id="null-clears-metadata"),
    ],
)
def test_a_change_changes_what_it_names(members: dict[str, Any], expected: dict[str, Any]) -> None:
    assert changed(FULL, **members) == msgspec.structs.replace(FULL, **expected)


def test_metadata_does_not_grow_without_bound() -> None:
    """Change by change."""
    key = created(metadata={str(n): "" for n in range(16)})
    with pytest.raises(InvalidRequest, match="at most 16"):
        changed(key, metadata={"one more": ""})
    assert len(changed(key, metadata={"0": None, "one more": ""}).metadata) == 16


def test_what_is_shown_is_what_was_sent() -> None:
    """And what the server knows."""
    stamped = msgspec.structs.replace(FULL, created_at=1_700_000_000.9)
    assert msgspec.to_builtins(bodies.view(stamped, 1_800_000_000.0)) == {
        "id": "k" * 16,
        "object": "key",
        "name": "ci",
        "state": "active",
        "tenant": "acme",
        "user": "ada",
        "models": ["a", "b"],
        "scopes": ["chat", "admin"],
        "limits": {"requests_per_minute": 5, "burst": 7},
        "budgets": [{"usd": 25.0, "per": "month"}, {"tokens": 9, "per": "day", "alert_at": 0.5}],
        "expires_at": 4_000_000_000,
        "metadata": {"team": "blue", "seat": "4"},
        "created_at": 1_700_000_000,
        "revoked_at": None,
        "previous_expires_at": None,
    }


def test_what_is_shown_of_a_bare_key() -> None:
    """Nothing is left out, so that a client needs no defaults."""
    shown = msgspec.to_builtins(bodies.view(created(), 0.0))
    assert shown["tenant"] is shown["user"] is shown["models"] is shown["expires_at"] is None
    assert shown["scopes"] == ["chat", "embeddings", "ask", "batch"]
    assert shown["limits"] == shown["metadata"] == {}
    assert shown["budgets"] == []


def test_what_is_shown_never_holds_a_hash() -> None:
    key = rotated(FULL, b"n" * 32, 0.0, 60.0)
    assert b"hhhh" not in msgspec.json.encode(bodies.view(key, 1.0))
    assert bodies.view(key, 1.0).previous_expires_at == 60
    assert bodies.view(key, 60.0).previous_expires_at is None
    assert bodies.view(revoked(key, 7.5), 8.0).state is State.REVOKED
    assert bodies.view(revoked(key, 7.5), 8.0).revoked_at == 7


@pytest.mark.parametrize("seconds", [-1, 2_592_001, "60"])
def test_overlaps_that_are_refused(seconds: object) -> None:
    with pytest.raises(msgspec.ValidationError, match="overlap_seconds"):
        msgspec.json.decode(msgspec.json.encode({"overlap_seconds": seconds}), type=RotateKey)
