"""Who is asking, in every mode and with the database in every state."""

import asyncio

import pytest

from service.config.limits import Limits
from service.config.settings import Auth, Jwt
from service.errors import GatewayError, InvalidApiKey, StoreUnavailable
from service.keys import credential
from service.keys.authenticator import POLL_SECONDS, Authenticator, requirement
from service.keys.bodies import ChangeKey, RotateKey
from service.keys.cache import STRANGER_SECONDS, TRUST_SECONDS
from service.principal import ADMIN_KEY_ID, USER_SCOPES, Principal, Scope
from tests.fakes.authentication import ADDRESS, ADMIN_KEY, EVERYTHING, Bench, text_of
from tests.fakes.loops import until, virtual_time

ANYBODY = Principal(scopes=USER_SCOPES, address=ADDRESS)
STRANGER = credential.make(bytes(50)).text.encode()
JWT = Jwt(issuer="https://id.example", audience="penstock")

KINDS = {
    "none": None,
    "nothing": b"",
    "text": b"sk-something-else",
    "malformed": STRANGER[:-1],
    "wrong-checksum": STRANGER[:-1] + b"~",
    "stranger": STRANGER,
    "like-a-token": b"a.b.c",
    "not-ascii": b"\xff\x00",
    "almost-the-admin-key": ADMIN_KEY[:-1].encode(),
}
any_credential = pytest.mark.parametrize("sent", KINDS.values(), ids=KINDS.keys())


async def who(authenticator: Authenticator, sent: bytes | None) -> Principal:
    """The caller, as the edge finds out."""
    found = authenticator.recognise(sent, ADDRESS)
    return await authenticator.authenticate(sent, ADDRESS) if found is None else found


async def refused(authenticator: Authenticator, sent: bytes | None) -> GatewayError:
    """Why the caller is not let in; and `recognise` must not have let it in either."""
    assert authenticator.recognise(sent, ADDRESS) is None
    with pytest.raises((InvalidApiKey, StoreUnavailable)) as error:
        await authenticator.authenticate(sent, ADDRESS)
    return error.value


@pytest.mark.parametrize(
    ("auth", "loopback", "insecure", "expected"),
    [
        pytest.param(Auth(), True, False, None, id="on-loopback-once-there-is-a-key"),
        pytest.param(Auth(), False, False, True, id="elsewhere-always"),
        pytest.param(Auth(jwt=JWT), True, False, True, id="with-tokens-always"),
        pytest.param(Auth(), False, True, False, id="never-where-the-operator-says-insecure"),
        pytest.param(Auth(required=False), False, False, False, id="written-no"),
        pytest.param(Auth(required=False, jwt=JWT), True, False, False, id="written-no-with-tokens"),
        pytest.param(Auth(required=True), True, False, True, id="written-yes"),
        pytest.param(Auth(required=True), True, True, True, id="written-yes-stands-against-insecure"),
    ],
)
def test_when_a_key_is_required(auth: Auth, loopback: bool, insecure: bool, expected: bool | None) -> None:
    assert requirement(auth, loopback=loopback, insecure_no_auth=insecure) is expected


@any_credential
async def test_before_the_first_key_everybody_is_the_one_owner(bench: Bench, sent: bytes | None) -> None:
    """Whatever they send."""
    await bench.authenticator.poll_once()
    assert await who(bench.authenticator, sent) == ANYBODY
    assert not bench.authenticator.required


@any_credential
async def test_the_first_key_closes_the_door_at_once(bench: Bench, sent: bytes | None) -> None:
    """In the process that made it."""
    await bench.authenticator.poll_once()
    made = await bench.a_key()
    assert isinstance(await refused(bench.authenticator, sent), InvalidApiKey)
    assert (await who(bench.authenticator, text_of(made))).key_id == made.id
    assert bench.authenticator.required


async def test_the_first_key_of_another_process_closes_the_door_with_the_next_poll(bench: Bench) -> None:
    """And opens to its owner even before."""
    other = Bench(bench.store)
    await other.authenticator.poll_once()
    made = await bench.a_key()
    assert await who(other.authenticator, None) == ANYBODY
    assert (await who(other.authenticator, text_of(made))).key_id == made.id
    assert isinstance(await refused(other.authenticator, None), InvalidApiKey)

    third = Bench(bench.store)
    await third.authenticator.poll_once()
    assert isinstance(await refused(third.authenticator, None), InvalidApiKey)


async def test_revoking_the_last_key_opens_nothing(bench: Bench) -> None:
    """Nor does a restart after it."""
    await bench.authenticator.poll_once()
    made = await bench.a_key()
    await bench.service.revoke(made.id)
    restarted = bench.make()
    await restarted.poll_once()
    for authenticator in (bench.authenticator, restarted):
        for sent in (None, STRANGER, text_of(made)):
            assert isinstance(await refused(authenticator, sent), InvalidApiKey)


@any_credential
@pytest.mark.parametrize("away", [False, True], ids=["database", "no-database"])
async def test_where_no_key_is_required_nobody_is_refused(
    bench: Bench, sent: bytes | None, away: bool
) -> None:
    """Whatever they send, and whether the database answers or not."""
    await bench.a_key()
    bench.store.away = away
    authenticator = bench.make(required=False, with_tokens=True)
    await authenticator.poll_once()
    assert await who(authenticator, sent) == ANYBODY


async def test_where_no_key_is_required_a_key_is_still_itself(bench: Bench) -> None:
    """Its limits hold, and its scopes; one that ended is nobody's."""
    made = await bench.a_key(scopes=[Scope.ADMIN])
    authenticator = bench.make(required=False)
    assert (await who(authenticator, text_of(made))).scopes == {Scope.ADMIN}
    await bench.service.revoke(made.id)
    authenticator.forget(made.id)
    assert await who(authenticator, text_of(made)) == ANYBODY


@any_credential
async def test_where_a_key_is_required_nothing_else_will_do(bench: Bench, sent: bytes | None) -> None:
    """From the start, whether there are keys or not."""
    authenticator = bench.make(required=True, with_tokens=True)
    await authenticator.poll_once()
    assert isinstance(await refused(authenticator, sent), InvalidApiKey)


@pytest.mark.parametrize("required", [None, False, True])
@pytest.mark.parametrize("away", [False, True], ids=["database", "no-database"])
async def test_the_admin_key_is_known_in_every_mode(bench: Bench, required: bool | None, away: bool) -> None:
    """It needs no database."""
    bench.store.away = away
    authenticator = bench.make(required=required)
    await authenticator.poll_once()
    found = authenticator.recognise(ADMIN_KEY.encode(), ADDRESS)
    assert found == Principal(key_id=ADMIN_KEY_ID, scopes=EVERYTHING)


async def test_a_key_is_read_once_and_then_recognised(bench: Bench) -> None:
    """With the limits of any key where it says nothing."""
    made = await bench.a_key(tenant="acme", models=["a"])
    defaults = Limits(requests_per_minute=5)
    authenticator = bench.make(defaults=defaults)
    found = await who(authenticator, text_of(made))
    assert found == Principal(
        key_id=made.id, tenant="acme", scopes=USER_SCOPES, models=frozenset({"a"}), limits=defaults
    )
    reads = bench.store.reads
    assert authenticator.recognise(text_of(made), ADDRESS) == found
    assert bench.store.reads == reads


@pytest.mark.parametrize("place", range(len(STRANGER)))
async def test_a_known_key_opens_only_as_it_is(bench: Bench, place: int) -> None:
    """Not with any of its characters changed, nor cut, nor longer."""
    sent = text_of(await bench.a_key())
    await who(bench.authenticator, sent)
    other = b"1" if sent[place : place + 1] == b"0" else b"0"
    for wrong in (sent[:place] + other + sent[place + 1 :], sent[:place], sent + other):
        assert isinstance(await refused(bench.authenticator, wrong), InvalidApiKey)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        pytest.param(None, "Send a key: Authorization: Bearer", id="none"),
        pytest.param(STRANGER[:-1], "was it copied whole", id="malformed"),
        pytest.param(STRANGER, "not known here", id="unknown"),
        pytest.param(b"sk-else", "not known here", id="of-another-server"),
    ],
)
async def test_a_refusal_says_what_to_do(bench: Bench, sent: bytes | None, said: str) -> None:
    """And not what was sent."""
    error = await refused(bench.make(required=True), sent)
    assert said in error.detail
    assert sent is None or sent.decode() not in error.detail


async def test_a_malformed_key_asks_no_database(bench: Bench) -> None:
    """So that guessing costs the guesser's time only."""
    authenticator = bench.make(required=True)
    for sent in KINDS.values():
        if sent != STRANGER:
            await refused(authenticator, sent)
    assert bench.store.reads == 0


async def test_an_unknown_key_is_asked_for_once_in_a_while(bench: Bench) -> None:
    """A client that repeats it costs nothing."""
    authenticator = bench.make(required=True)
    for _ in range(3):
        await refused(authenticator, STRANGER)
    assert bench.store.reads == 1
    bench.pass_time(STRANGER_SECONDS)
    await refused(authenticator, STRANGER)
    assert bench.store.reads == 2


async def test_many_callers_of_a_new_key_read_it_once(bench: Bench) -> None:
    """Also if the one that asked first leaves."""
    sent = text_of(await bench.a_key())
    bench.store.held = asyncio.Event()
    authenticator = bench.make(required=True)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        tasks = [group.create_task(authenticator.authenticate(sent, ADDRESS)) for _ in range(10)]
        await until(lambda: bench.store.reads > 0)
        tasks[0].cancel()
        bench.store.held.set()
    assert tasks[0].cancelled()
    assert len({task.result().key_id for task in tasks[1:]}) == 1
    assert bench.store.reads == 1


async def test_a_key_that_expires_ends_at_that_moment(bench: Bench) -> None:
    """Without any poll, and it says so; moved on, it opens again."""
    made = await bench.a_key(expires_at=bench.clock.now() + 10)
    sent = text_of(made)
    await who(bench.authenticator, sent)
    bench.pass_time(9.9)
    assert bench.authenticator.recognise(sent, ADDRESS) is not None
    bench.pass_time(0.1)
    assert "has expired" in (await refused(bench.authenticator, sent)).detail
    await bench.service.update(made.id, ChangeKey(expires_at=bench.clock.now() + 10))
    assert (await who(bench.authenticator, sent)).key_id == made.id


async def test_a_key_revoked_here_ends_at_once(bench: Bench) -> None:
    """And says so to whoever has it, to nobody else."""
    made = await bench.a_key()
    sent = text_of(made)
    await who(bench.authenticator, sent)
    await bench.service.revoke(made.id)
    assert "was revoked" in (await refused(bench.authenticator, sent)).detail
    guess = credential.make(bytes(50), made.id).text.encode()
    assert "not known here" in (await refused(bench.authenticator, guess)).detail


async def test_a_key_revoked_elsewhere_ends_with_the_next_poll(bench: Bench) -> None:
    """And stays ended."""
    made = await bench.a_key()
    sent = text_of(made)
    other = bench.make()
    await other.poll_once()
    await who(other, sent)
    await bench.service.revoke(made.id)
    assert other.recognise(sent, ADDRESS) is not None
    await other.poll_once()
    assert "was revoked" in (await refused(other, sent)).detail
    await other.poll_once()
    assert "was revoked" in (await refused(other, sent)).detail


async def test_a_change_elsewhere_is_known_with_the_next_poll(bench: Bench) -> None:
    """What it may do is what was last said."""
    made = await bench.a_key()
    sent = text_of(made)
    other = bench.make()
    await other.poll_once()
    await who(other, sent)
    await bench.service.update(made.id, ChangeKey(scopes=[Scope.EMBEDDINGS]))
    await other.poll_once()
    assert (await who(other, sent)).scopes == {Scope.EMBEDDINGS}


async def test_a_revocation_in_the_middle_of_a_lookup_is_not_overheard(bench: Bench) -> None:
    """The old answer comes late, and is not kept."""
    made = await bench.a_key()
    sent = text_of(made)
    bench.store.held = asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        early = group.create_task(bench.authenticator.authenticate(sent, ADDRESS))
        await until(lambda: bench.store.reads > 0)
        await bench.service.revoke(made.id)
        bench.store.held.set()
    assert early.result().key_id == made.id
    assert "was revoked" in (await refused(bench.authenticator, sent)).detail


async def test_a_rotation_elsewhere_opens_with_the_new_secret_at_once(bench: Bench) -> None:
    """The old one opens for the overlap, to the moment."""
    made = await bench.a_key()
    other = bench.make()
    await other.poll_once()
    await who(other, text_of(made))
    fresh = await bench.service.rotate(made.id, RotateKey(overlap_seconds=60))
    assert fresh.id == made.id and fresh.key != made.key
    assert (await who(other, text_of(fresh))).key_id == made.id
    assert (await who(other, text_of(made))).key_id == made.id
    assert fresh.previous_expires_at is not None
    bench.clock.advance(fresh.previous_expires_at - bench.clock.now() - 0.01)
    assert other.recognise(text_of(made), ADDRESS) is not None
    bench.clock.advance(0.02)
    assert "not known here" in (await refused(other, text_of(made))).detail
    assert other.recognise(text_of(fresh), ADDRESS) is not None


async def test_a_known_key_goes_on_while_the_database_is_away_for_300_seconds(bench: Bench) -> None:
    """Then it is 503, never 401; and at once right again when the database is back."""
    sent = text_of(await bench.a_key())
    await bench.authenticator.poll_once()
    await who(bench.authenticator, sent)
    bench.store.away = True
    bench.pass_time(TRUST_SECONDS)
    await bench.authenticator.poll_once()
    assert bench.authenticator.recognise(sent, ADDRESS) is not None
    assert bench.authenticator.state == "away"
    bench.pass_time(0.1)
    assert TRUST_SECONDS + 0.1 < 300
    assert isinstance(await refused(bench.authenticator, sent), StoreUnavailable)
    bench.store.away = False
    await bench.authenticator.poll_once()
    assert bench.authenticator.recognise(sent, ADDRESS) is not None
    assert bench.authenticator.state == "ok"


async def test_polls_keep_a_known_key_known(bench: Bench) -> None:
    """Far beyond 300 s, and without reading it again."""
    sent = text_of(await bench.a_key())
    await bench.authenticator.poll_once()
    await who(bench.authenticator, sent)
    for _ in range(10):
        bench.pass_time(TRUST_SECONDS)
        await bench.authenticator.poll_once()
    assert bench.authenticator.recognise(sent, ADDRESS) is not None
    assert bench.store.reads == 1


async def test_what_was_revoked_while_away_ends_with_the_return(bench: Bench) -> None:
    """However long that was."""
    made = await bench.a_key()
    sent = text_of(made)
    other = Bench(bench.store)
    await other.authenticator.poll_once()
    await who(other.authenticator, sent)
    await bench.service.revoke(made.id)
    bench.store.away = True
    for _ in range(3):
        other.pass_time(40)
        await other.authenticator.poll_once()
    assert other.authenticator.recognise(sent, ADDRESS) is not None
    bench.store.away = False
    await other.authenticator.poll_once()
    assert isinstance(await refused(other.authenticator, sent), InvalidApiKey)


@pytest.mark.parametrize("back_seconds", [1, 60, 10_000])
async def test_a_database_whose_clock_is_set_back_hides_no_revocation(
    bench: Bench, back_seconds: float
) -> None:
    """Times of changes then lie before those that were asked for."""
    made = await bench.a_key()
    sent = text_of(made)
    bench.pass_time(60)
    other = bench.make()
    await other.poll_once()
    await who(other, sent)
    bench.store.time -= back_seconds
    await bench.service.revoke(made.id)
    await other.poll_once()
    assert isinstance(await refused(other, sent), InvalidApiKey)


async def test_unknown_keys_are_not_refused_while_the_database_is_away(bench: Bench) -> None:
    """It may have learned of them elsewhere: 503, also for one that was unknown a moment ago."""
    await bench.a_key()
    await bench.authenticator.poll_once()
    await refused(bench.authenticator, STRANGER)
    bench.store.away = True
    await bench.authenticator.poll_once()
    error = await refused(bench.authenticator, STRANGER)
    assert isinstance(error, StoreUnavailable) and error.retry_after_seconds == 1


@any_credential
async def test_started_without_a_database_nobody_gets_in(bench: Bench, sent: bytes | None) -> None:
    """For nobody knows whether there are keys: neither open, nor 401."""
    bench.store.away = True
    await bench.authenticator.poll_once()
    assert isinstance(await refused(bench.authenticator, sent), StoreUnavailable)
    assert bench.authenticator.required
    bench.store.away = False
    await bench.authenticator.poll_once()
    assert await who(bench.authenticator, sent) == ANYBODY


async def test_an_open_door_is_trusted_no_longer_than_a_key(bench: Bench) -> None:
    """Somebody may have made the first key where this process can't see it."""
    await bench.authenticator.poll_once()
    bench.store.away = True
    bench.pass_time(TRUST_SECONDS)
    assert await who(bench.authenticator, None) == ANYBODY
    bench.pass_time(0.1)
    assert isinstance(await refused(bench.authenticator, None), StoreUnavailable)


async def test_a_broken_store_is_an_absent_one(bench: Bench) -> None:
    """Polling goes on whatever happens, or no key would ever end."""
    broken = True

    class Broken(type(bench.store)):  # type: ignore[misc]  # the fake's own class
        async def changed_since(self, since: float | None) -> object:
            if broken:
                raise ZeroDivisionError
            return await super().changed_since(since)

    bench.store = Broken()
    authenticator = bench.make()
    await authenticator.poll_once()
    assert authenticator.state == "away"
    broken = False
    await authenticator.poll_once()
    assert authenticator.state == "ok"


async def test_tokens_are_verified_once_and_then_recognised(bench: Bench) -> None:
    """A key of ours is never taken for one."""
    owner = Principal(key_id="jwt:ada", scopes=USER_SCOPES)
    bench.tokens.good[b"a.b.c"] = owner
    authenticator = bench.make(required=True, with_tokens=True)
    assert authenticator.recognise(b"a.b.c", ADDRESS) is None
    assert await who(authenticator, b"a.b.c") == owner
    assert authenticator.recognise(b"a.b.c", ADDRESS) == owner
    assert "signature is wrong" in (await refused(authenticator, b"a.b.d")).detail
    assert "was it copied whole" in (await refused(authenticator, b"psk_a.b.c")).detail


def test_polling_takes_place_by_itself_and_ends_with_the_worker() -> None:
    """Two looks a second; a revoked key ends within one."""

    @virtual_time
    async def run() -> None:
        bench = Bench()
        made = await bench.a_key()
        other = bench.make()
        await other.start()
        await who(other, text_of(made))
        await bench.service.revoke(made.id)
        async with asyncio.timeout(2 * POLL_SECONDS):
            await until_refused(other, text_of(made))
        await other.close()
        assert len(asyncio.all_tasks()) == 1

    run()


async def until_refused(authenticator: Authenticator, sent: bytes) -> None:
    """Wait until the key is not recognised any more."""
    while authenticator.recognise(sent, ADDRESS) is not None:  # noqa: ASYNC110 - what is awaited tells nobody
        await asyncio.sleep(0.1)


async def test_closing_leaves_no_lookup_behind(bench: Bench) -> None:
    """Whoever still waits is told by being cancelled."""
    sent = text_of(await bench.a_key())
    bench.store.held = asyncio.Event()
    waiting = asyncio.create_task(bench.authenticator.authenticate(sent, ADDRESS))
    await until(lambda: bench.store.reads > 0)
    await bench.authenticator.close()
    await asyncio.wait((waiting,))
    assert waiting.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}
