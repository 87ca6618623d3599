"""Limits of tenants and users, and where meters stand, as an administrator asks for them."""

import msgspec
import pytest

from service.config import LimitSettings
from service.config.limit_bodies import BudgetBody, LimitsBody
from service.config.limits import Budget, Limits
from service.errors import InvalidRequest, ObjectNotFound, StoreUnavailable
from service.limits.admin import LimitAdmin, PutLimits
from service.limits.base import Need, Refusal, Subject, Used
from service.limits.memory import MemoryLimitStore
from service.limits.names import MAX_NAME_CHARACTERS, Place, tenant_place, user_place
from service.limits.overrides import SubjectOverrides
from service.limits.service import LimitService
from service.limits.standing import MeterView, Standing
from service.paging import MAX_PAGE
from service.principal import Principal
from tests.fakes.clock import FakeClock
from tests.fakes.ledger_sums import LedgerSums
from tests.fakes.subject_limits import MemorySubjectLimits

BODY = PutLimits(
    limits=LimitsBody(requests_per_minute=60),
    budgets=[BudgetBody(usd=2.5, per="day"), BudgetBody(tokens=100, per="total", alert_at=0.5)],
)
LIMITS = Limits(
    requests_per_minute=60,
    budgets=(Budget(usd=2.5, per="day"), Budget(tokens=100, per="total", alert_at=0.5)),
)
ACME = tenant_place("acme")
KEYS = {"k1": Principal(key_id="k1", tenant="acme", user="ann", limits=Limits(tokens_per_minute=600))}
SETTINGS = LimitSettings(
    anonymous=Limits(requests_per_minute=6),
    user=Limits(concurrent_requests=3),
    tenant=Limits(concurrent_requests=9, budgets=(Budget(usd=1, per="month"),)),
    models={"fast": Limits(requests_per_minute=100)},
    routes={"/chat": Limits(requests_per_minute=50)},
)


class Office:
    """One worker's administration, on stores in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.rows = MemorySubjectLimits()
        self.overrides = SubjectOverrides(self.rows)
        self.meters = MemoryLimitStore(
            now_us=lambda: int(self.clock.now() * 1e6),
            spent=LedgerSums(),
            began_at=self.clock.now(),
            on_alert=lambda meter, start, spent: None,
        )
        self.limits = LimitService(SETTINGS, self.meters, self.overrides)
        self.admin = LimitAdmin(self.rows, self.overrides)
        self.standing = Standing(
            plans=self.limits, store=self.meters, principal_of=self._principal, now=self.clock.now
        )

    async def _principal(self, key_id: str) -> Principal | None:
        return KEYS.get(key_id)

    async def use(self, principal: Principal, need: Need, used: Used | None = None) -> bool:
        """Reserve as a request does, and settle where `used` says what it was; False: refused."""
        plan = self.limits.plan(principal, "fast", "/chat")
        answer = await self.meters.reserve(
            plan.meters, need, id="r", started_at=self.clock.now(), lasts_seconds=60
        )
        if not isinstance(answer, Refusal) and used is not None:
            self.meters.settle(answer, used)
        return not isinstance(answer, Refusal)


@pytest.fixture
async def office() -> Office:
    """One that has read what there is: nothing."""
    found = Office()
    await found.overrides.poll_once()
    return found


async def test_what_was_set_is_shown(office: Office) -> None:
    """By the answer, by asking for it, and in the list; and it holds at once."""
    shown = await office.admin.put(ACME, BODY)
    assert msgspec.to_builtins(shown) == {
        "object": "tenant",
        "tenant": "acme",
        "limits": {"requests_per_minute": 60},
        "budgets": [{"usd": 2.5, "per": "day"}, {"tokens": 100, "per": "total", "alert_at": 0.5}],
        "updated_at": int(office.rows.time),
    }
    assert await office.admin.get(ACME) == shown
    assert (await office.admin.list(Subject.TENANT)).data == [shown]
    assert (await office.admin.list(Subject.USER)).data == []
    assert office.overrides.of(*ACME) == LIMITS


async def test_a_user_is_shown_with_its_tenant(office: Office) -> None:
    """Two of one name are two."""
    one = await office.admin.put(user_place("a/b%", "x/y"), BODY)
    other = await office.admin.put(user_place("a/b%", None), PutLimits())
    assert (one.object, one.user, one.tenant) == ("user", "a/b%", "x/y")
    assert (other.user, other.tenant, other.budgets) == ("a/b%", None, [])
    assert (await office.admin.list(Subject.USER)).data == [other, one]


async def test_what_is_deleted_is_gone_and_may_be_deleted_again(office: Office) -> None:
    await office.admin.put(ACME, BODY)
    for _ in range(2):
        await office.admin.delete(ACME)
        assert office.overrides.of(*ACME) is None
        with pytest.raises(ObjectNotFound, match="GET /admin/tenants"):
            await office.admin.get(ACME)


async def test_who_has_no_limits_is_not_found(office: Office) -> None:
    with pytest.raises(ObjectNotFound, match="GET /admin/users"):
        await office.admin.get(user_place("ann", "acme"))


async def test_pages_lead_to_each_other(office: Office) -> None:
    """By name; a page that is just full is the last; and no more than MAX_PAGE at once."""
    office.rows.at_most = 1000
    names = [f"{number:03}" for number in range(MAX_PAGE + 2)]
    for name in names:
        await office.admin.put(tenant_place(name), BODY)
    first = await office.admin.list(Subject.TENANT, limit=9999)
    assert first.has_more and first.next_cursor == names[MAX_PAGE - 1]
    rest = await office.admin.list(Subject.TENANT, after=first.next_cursor, limit=2)
    assert [view.tenant for view in [*first.data, *rest.data]] == names
    assert not rest.has_more and rest.next_cursor is None


@pytest.mark.parametrize(
    ("after", "limit", "param"),
    [
        pytest.param(None, 0, "limit", id="no-row-at-all"),
        pytest.param("a\x00b", 1, "after", id="a-cursor-that-no-store-can-read"),
        pytest.param("x" * 10_000, 1, "after", id="a-cursor-of-any-length"),
    ],
)
async def test_a_page_that_cannot_be_is_refused(
    office: Office, after: str | None, limit: int, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await office.admin.list(Subject.TENANT, after=after, limit=limit)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param(PutLimits(limits=LimitsBody(burst=5)), "limits.burst", id="a-burst-of-no-rate"),
        pytest.param(
            PutLimits(budgets=[BudgetBody(usd=1, per="day"), BudgetBody(usd=2, per="day")]),
            "budgets[1]",
            id="two-budgets-of-one-window",
        ),
    ],
)
async def test_limits_that_mean_nothing_are_refused(office: Office, body: PutLimits, param: str) -> None:
    """By the same rules as a key's, and nothing is set."""
    with pytest.raises(InvalidRequest) as refused:
        await office.admin.put(ACME, body)
    assert refused.value.param == param
    assert (await office.admin.list(Subject.TENANT)).data == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"limit": {}}', id="an-unknown-member"),
        pytest.param(b'{"limits": {"budgets": []}}', id="a-member-of-the-file's"),
        pytest.param(b'{"limits": {"requests_per_minute": 0}}', id="too-small"),
        pytest.param(b'{"budgets": [{"per": "day"}]}', id="neither-unit"),
        pytest.param(b'{"budgets": [{"usd": 1, "tokens": 1, "per": "day"}]}', id="both-units"),
        pytest.param(b'{"budgets": [{"usd": 1, "per": "year"}]}', id="no-such-window"),
    ],
)
def test_bodies_that_are_none(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=PutLimits)


@pytest.mark.parametrize(
    ("tenant", "user", "param"),
    [
        pytest.param("", None, "tenant", id="an-empty-tenant"),
        pytest.param("x" * (MAX_NAME_CHARACTERS + 1), None, "tenant", id="a-tenant-that-is-too-long"),
        pytest.param("a\nb", None, "tenant", id="a-control-character"),
        pytest.param("\x9b31m", None, "tenant", id="a-control-character-beyond-ascii"),
        pytest.param(None, "", "user", id="an-empty-user"),
        pytest.param("", "ann", "tenant", id="an-empty-tenant-of-a-user"),
        pytest.param("a\x00", "ann", "tenant", id="a-tenant-of-a-user-with-nul"),
    ],
)
def test_names_that_are_none(tenant: str | None, user: str | None, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        tenant_place(tenant or "") if user is None else user_place(user, tenant)
    assert refused.value.param == param


def test_the_longest_names_are_names() -> None:
    """Although those of users are longer than what they are made of."""
    long = "/" * MAX_NAME_CHARACTERS
    assert user_place(long, long) == Place(Subject.USER, "%2F" * MAX_NAME_CHARACTERS + "/" + long)


async def test_more_than_there_is_room_for_are_refused(office: Office) -> None:
    office.rows.at_most = 1
    await office.admin.put(ACME, BODY)
    with pytest.raises(InvalidRequest, match=r"limits\.tenant"):
        await office.admin.put(tenant_place("other"), BODY)


async def test_a_database_that_is_away_is_told(office: Office) -> None:
    """And what was known holds."""
    await office.admin.put(ACME, BODY)
    office.rows.away = True
    with pytest.raises(StoreUnavailable):
        await office.admin.put(ACME, PutLimits())
    with pytest.raises(StoreUnavailable):
        await office.admin.delete(ACME)
    assert office.overrides.of(*ACME) == LIMITS


async def test_meters_stand_where_requests_left_them(office: Office) -> None:
    """In US dollars, where it is money; `used` has what a running request holds."""
    await office.admin.put(ACME, BODY)
    ann = KEYS["k1"]
    used = Used(tokens=7, nano_usd=1_500_000_000, finished_at=office.clock.now())
    assert await office.use(ann, Need(tokens=10, nano_usd=2_000_000_000, budget_tokens=20), used)
    assert await office.use(ann, Need(tokens=10, nano_usd=250_000_000, budget_tokens=20))
    found = await office.standing.of({"tenant": "acme"})
    assert [_short(meter) for meter in found.data] == [
        ("tenant-requests", 60, 2, 58),
        ("tenant-concurrency", 9, 1, 8),
        ("tenant-usd-day", 2.5, 1.75, 0.75),
        ("tenant-budget-tokens-total", 100, 27, 73),
    ]
    rate, _, day, total = found.data
    assert (rate.per, rate.per_minute, rate.reset_seconds) == (None, 60, 2.0)
    assert (day.kind, day.per, day.per_minute) == ("usd", "day", None)
    assert day.reset_seconds is not None and 0 < day.reset_seconds <= 86_400
    assert total.reset_seconds is None
    assert {(meter.subject, meter.subject_id, meter.tenant) for meter in found.data} == {
        ("tenant", "acme", None)
    }


@pytest.mark.parametrize(
    ("asked", "names", "subject_id"),
    [
        pytest.param({"key": "k1"}, ["key-tokens"], "k1", id="a-key"),
        pytest.param({"user": "ann", "tenant": "acme"}, ["user-concurrency"], "ann", id="a-user-of-a-tenant"),
        pytest.param({"user": "ann"}, ["user-concurrency"], "ann", id="a-user-without-one"),
        pytest.param(
            {"tenant": "x/y"}, ["tenant-concurrency", "tenant-usd-month"], "x/y", id="a-tenant-by-default"
        ),
        pytest.param({"model": "fast"}, ["model-requests"], "fast", id="a-model"),
        pytest.param({"route": "/chat"}, ["route-requests"], "/chat", id="a-route"),
        pytest.param({"address": "192.0.2.1"}, ["address-requests"], "192.0.2.1", id="an-address"),
        pytest.param({"model": "free"}, [], "", id="nothing-limits-it"),
    ],
)
async def test_each_subjects_own_meters(
    office: Office, asked: dict[str, str], names: list[str], subject_id: str
) -> None:
    """And not those of others that its requests have too."""
    found = await office.standing.of(asked)
    assert [meter.name for meter in found.data] == names
    assert all(meter.subject_id == subject_id for meter in found.data)
    assert all(meter.tenant == (asked.get("tenant") if "user" in asked else None) for meter in found.data)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        pytest.param({}, None, id="nobody"),
        pytest.param({"key": "k1", "model": "fast"}, "key", id="two"),
        pytest.param({"user": "ann", "tenant": "acme", "key": "k1"}, "key", id="a-user-and-a-key"),
        pytest.param({"tenant": ""}, "tenant", id="an-empty-name"),
        pytest.param({"model": "a\x00"}, "model", id="nul"),
        pytest.param({"route": "/" * 2000}, "route", id="too-long"),
    ],
)
async def test_questions_that_name_no_subject(
    office: Office, asked: dict[str, str], param: str | None
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await office.standing.of(asked)
    assert refused.value.param == param


async def test_an_unknown_key_has_no_meters(office: Office) -> None:
    with pytest.raises(ObjectNotFound):
        await office.standing.of({"key": "k2"})


def _short(meter: MeterView) -> tuple[str, float, float, float]:
    return meter.name, meter.capacity, meter.used, meter.remaining
