"""Which meters a request has, what they are called, and how large they are."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import LimitSettings
from service.config.limits import UNLIMITED, Budget, Limits, Per
from service.limits.base import Kind, Meter, Subject
from service.limits.policy import merge, meters_for, nano_usd, split_user_subject, user_subject
from service.principal import Principal

ALL = Limits(
    requests_per_minute=60,
    tokens_per_minute=1000,
    concurrent_requests=4,
    budgets=(Budget(usd=1.5, per="day"), Budget(tokens=10, per="total")),
)
KEY = Principal(key_id="01ab", tenant="acme", user="ann")
# Characters that names are made of themselves, so that ids try to look like the rest of a name.
IDS = st.text(st.sampled_from("ab:/%25Fusd"), min_size=1, max_size=8) | st.text(min_size=1, max_size=8)


def found(
    principal: Principal = KEY,
    settings: LimitSettings | None = None,
    *,
    tenant: Limits | None = None,
    user: Limits | None = None,
) -> tuple[Meter, ...]:
    """The meters of `principal`'s chat completion with the model `fast`."""
    asked = settings or LimitSettings()
    return meters_for(principal, "fast", "/v1/chat/completions", asked, tenant=tenant, user=user)


ONE = Limits(requests_per_minute=5)


@pytest.mark.parametrize(
    ("principal", "settings", "names"),
    [
        pytest.param(KEY, LimitSettings(), [], id="nothing-is-limited-unless-it-is-said"),
        pytest.param(KEY, LimitSettings(key=ONE), [], id="the-default-of-keys-is-in-the-principal-already"),
        pytest.param(Principal(key_id="01ab", limits=ONE), LimitSettings(), ["key:01ab:requests"], id="a-key"),
        pytest.param(KEY, LimitSettings(user=ONE), ["user:acme/ann:requests"], id="a-user-within-its-tenant"),
        pytest.param(Principal(key_id="k", user="ann"), LimitSettings(user=ONE), ["user:/ann:requests"], id="a-user-without-a-tenant"),
        pytest.param(Principal(key_id="k", tenant="t"), LimitSettings(user=ONE), [], id="no-user"),
        pytest.param(KEY, LimitSettings(tenant=ONE), ["tenant:acme:requests"], id="a-tenant"),
        pytest.param(Principal(key_id="k"), LimitSettings(tenant=ONE), [], id="no-tenant"),
        pytest.param(KEY, LimitSettings(models={"fast": ONE, "slow": ONE}), ["model:fast:requests"], id="the-model"),
        pytest.param(KEY, LimitSettings(routes={"/v1/chat/completions": ONE, "/chat": ONE}), ["route:/v1/chat/completions:requests"], id="the-route"),
        pytest.param(Principal(address="192.0.2.1"), LimitSettings(anonymous=ONE), ["address:192.0.2.1:requests"], id="an-address"),
        pytest.param(Principal(key_id="k", address="192.0.2.1"), LimitSettings(anonymous=ONE), [], id="a-key-is-not-anonymous"),
        pytest.param(Principal(), LimitSettings(anonymous=ONE), [], id="nobody-knows-the-address"),
        pytest.param(
            msgspec.structs.replace(KEY, limits=ONE),
            LimitSettings(user=ONE, tenant=ONE, models={"fast": ONE}, routes={"/v1/chat/completions": ONE}),
            ["key:01ab:requests", "user:acme/ann:requests", "tenant:acme:requests", "model:fast:requests", "route:/v1/chat/completions:requests"],
            id="all-at-once",
        ),
    ],
)  # fmt: skip
def test_whose_meters(principal: Principal, settings: LimitSettings, names: list[str]) -> None:
    assert [meter.name for meter in found(principal, settings)] == names


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param(Limits(requests_per_minute=5), [("requests", 5, 5, None)], id="a-burst-is-the-rate-where-not-said"),
        pytest.param(Limits(requests_per_minute=5, burst=2), [("requests", 2, 5, None)], id="a-burst"),
        pytest.param(Limits(burst=2), [], id="a-burst-alone-limits-nothing"),
        pytest.param(Limits(tokens_per_minute=900), [("tokens", 900, 900, None)], id="tokens"),
        pytest.param(Limits(concurrent_requests=3), [("concurrency", 3, 0, None)], id="slots"),
        pytest.param(Limits(budgets=(Budget(usd=0.1, per="day"),)), [("usd:day", 100_000_000, 0, "day")], id="money"),
        pytest.param(Limits(budgets=(Budget(tokens=7, per="total"),)), [("budget_tokens:total", 7, 0, "total")], id="tokens-in-all"),
        pytest.param(Limits(budgets=(Budget(usd=1, per="day"), Budget(usd=5, per="week"))), [("usd:day", 10**9, 0, "day"), ("usd:week", 5 * 10**9, 0, "week")], id="two-windows"),
        pytest.param(Limits(budgets=(Budget(usd=5, per="day"), Budget(usd=1, per="day"))), [("usd:day", 10**9, 0, "day")], id="of-two-alike-the-smaller"),
        pytest.param(Limits(budgets=(Budget(usd=1, per="day"), Budget(usd=5, per="day"))), [("usd:day", 10**9, 0, "day")], id="of-two-alike-the-smaller-that-came-first"),
    ],
)  # fmt: skip
def test_what_is_metered(limits: Limits, expected: list[tuple[str, int, int, Per | None]]) -> None:
    meters = found(Principal(key_id="k", limits=limits))
    assert [(m.name.removeprefix("key:k:"), m.capacity, m.per_minute, m.per) for m in meters] == expected
    assert all((m.subject, m.subject_id) == (Subject.KEY, "k") for m in meters)


def test_an_alert_is_its_budgets_own() -> None:
    """The smaller of two budgets keeps the level at which it alerts."""
    budgets = (Budget(usd=5, per="day", alert_at=0.5), Budget(usd=1, per="day", alert_at=0.9))
    assert [meter.alert_at for meter in found(Principal(key_id="k", limits=Limits(budgets=budgets)))] == [0.9]


@pytest.mark.parametrize(
    ("own", "default", "expected"),
    [
        pytest.param(UNLIMITED, ALL, ALL, id="nothing-said"),
        pytest.param(ALL, UNLIMITED, ALL, id="no-default"),
        pytest.param(Limits(requests_per_minute=1), Limits(tokens_per_minute=2), Limits(requests_per_minute=1, tokens_per_minute=2), id="field-by-field"),
        pytest.param(Limits(concurrent_requests=9), Limits(concurrent_requests=1), Limits(concurrent_requests=9), id="own-wins-also-when-larger"),
        pytest.param(Limits(requests_per_minute=5), Limits(requests_per_minute=900, burst=50), Limits(requests_per_minute=5), id="a-rate-of-its-own-has-no-other-burst"),
        pytest.param(Limits(burst=7), Limits(requests_per_minute=900, burst=50), Limits(requests_per_minute=900, burst=7), id="a-burst-of-its-own-for-the-default-rate"),
        pytest.param(Limits(tokens_per_minute=1), Limits(requests_per_minute=9, burst=5), Limits(requests_per_minute=9, burst=5, tokens_per_minute=1), id="the-default-rate-keeps-its-burst"),
        pytest.param(Limits(budgets=(Budget(usd=1, per="day"),)), ALL, msgspec.structs.replace(ALL, budgets=(Budget(usd=1, per="day"),)), id="budgets-are-replaced-together"),
    ],
)  # fmt: skip
def test_merging(own: Limits, default: Limits, expected: Limits) -> None:
    assert merge(own, default) == expected


def test_overrides_lie_over_the_defaults_of_their_own_kind() -> None:
    """What was said of one tenant or user replaces the setting's field, and only that one."""
    settings = LimitSettings(tenant=Limits(requests_per_minute=10), user=Limits(concurrent_requests=2))
    tenant, user = Limits(tokens_per_minute=7), Limits(concurrent_requests=5)
    meters = found(KEY, settings, tenant=tenant, user=user)
    assert [(meter.name, meter.capacity) for meter in meters] == [
        ("user:acme/ann:concurrency", 5),
        ("tenant:acme:requests", 10),
        ("tenant:acme:tokens", 7),
    ]


@given(ids=st.lists(IDS, min_size=2, max_size=2, unique=True))
def test_no_two_meters_share_a_name(ids: list[str]) -> None:
    """Whatever characters an id has, also those that names are made of."""
    one, other = ids
    everything = LimitSettings(
        anonymous=ALL, user=ALL, tenant=ALL, models={one: ALL}, routes={one: ALL, other: ALL}
    )
    meters = [
        *meters_for(Principal(key_id=one, tenant=one, user=other, limits=ALL), one, one, everything, tenant=None, user=None),
        *meters_for(Principal(key_id=other, tenant=other, user=one, limits=ALL), "", other, everything, tenant=None, user=None),
        *meters_for(Principal(address=one), "", "", everything, tenant=None, user=None),
    ]  # fmt: skip
    identities = {(m.subject, m.subject_id, m.kind, m.per) for m in meters}
    assert len({m.name for m in meters}) == len(identities) == len(meters)


@given(tenant=st.just("") | IDS, user=IDS)
def test_a_users_subject_splits_into_what_it_was_made_of(tenant: str, user: str) -> None:
    """So the ledger can be asked by its two columns, and no two users share a count."""
    assert split_user_subject(user_subject(tenant, user)) == (tenant, user)


@given(cents=st.decimals(min_value=Decimal("0.01"), max_value=10**7, places=2))
def test_money_is_the_decimal_number_that_was_written(cents: Decimal) -> None:
    """A float from TOML or JSON loses nothing on its way to nano-dollars."""
    assert nano_usd(float(cents)) == cents * 10**9


@pytest.mark.parametrize(
    ("usd", "nano"),
    [
        pytest.param(1.23456789e-8, 12, id="below-a-nano-dollar-is-rounded-down"),
        pytest.param(0.1 + 0.2, 300_000_000, id="the-noise-of-floats-is-cut-off"),
        pytest.param(1e12, 10**21, id="the-largest"),
    ],
)
def test_rounding_of_money(usd: float, nano: int) -> None:
    assert nano_usd(usd) == nano


def test_a_name_is_free_of_the_limits_size() -> None:
    """A changed limit keeps what was used."""
    raised = Limits(requests_per_minute=61, burst=3, tokens_per_minute=1, concurrent_requests=1, budgets=(Budget(usd=2, per="day"), Budget(tokens=9, per="total")))  # fmt: skip
    before, after = (found(Principal(key_id="k", limits=limits)) for limits in (ALL, raised))
    assert [meter.name for meter in before] == [meter.name for meter in after]
    assert [meter.kind for meter in after] == [
        Kind.REQUESTS,
        Kind.TOKENS,
        Kind.CONCURRENCY,
        Kind.USD,
        Kind.BUDGET_TOKENS,
    ]
