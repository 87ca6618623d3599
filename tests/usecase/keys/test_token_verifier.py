"""From a token to its caller, with keys that rotate and a clock that goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.config.limits import Limits
from service.config.settings import Jwt
from service.errors import InvalidApiKey, StoreUnavailable
from service.keys import jwks
from service.keys.key_set import CachedKeySet, KeysUnavailable
from service.keys.token_verifier import MAX_CALLERS, TokenVerifier
from tests.fakes.clock import FakeClock
from tests.fakes.identity_provider import AUDIENCE, ISSUER, claims, signing_key
from tests.fakes.identity_provider import jwks as document_of
from tests.fakes.jwks_source import ScriptedJwksSource
from tests.fakes.loops import virtual_time

OLD, NEW = signing_key("old", "EdDSA"), signing_key("new", "EdDSA", 1)
SETTINGS = Jwt(issuer=ISSUER, audience=AUDIENCE, jwks_file="keys.json", leeway_seconds=0)
LIMITS = Limits(requests_per_minute=9)
NOW = 1_700_000_000.0


@asynccontextmanager
async def verifying(
    source: ScriptedJwksSource, clock: FakeClock, max_callers: int = MAX_CALLERS
) -> AsyncIterator[TokenVerifier]:
    """A verifier at work."""
    keys = CachedKeySet(
        source,
        lambda document: jwks.read(document, SETTINGS.algorithms),
        refresh_seconds=300,
        stale_seconds=3600,
    )
    verifier = TokenVerifier(SETTINGS, keys, clock, LIMITS, max_callers=max_callers)
    await verifier.start()
    try:
        yield verifier
    finally:
        await verifier.close()


@virtual_time
async def test_a_token_is_verified_once_and_recognised_until_it_ends() -> None:
    clock, token = FakeClock(NOW), OLD.sign(claims(NOW, exp=NOW + 60))
    async with verifying(ScriptedJwksSource(document_of(OLD)), clock) as verifier:
        assert verifier.recognise(token) is None
        principal = await verifier.verify(token)
        assert (principal.key_id, principal.limits) == ("jwt:ada", LIMITS)
        assert verifier.recognise(token) is principal
        clock.advance(59.9)
        assert verifier.recognise(token) is principal
        clock.advance(0.1)
        assert verifier.recognise(token) is None
        with pytest.raises(InvalidApiKey, match="expired"):
            await verifier.verify(token)


@virtual_time
async def test_only_other_limits_have_a_token_verified_again() -> None:
    clock, token = FakeClock(NOW), OLD.sign(claims(NOW, exp=NOW + 60))
    async with verifying(ScriptedJwksSource(document_of(OLD)), clock) as verifier:
        principal = await verifier.verify(token)
        verifier.use(Limits(requests_per_minute=9))
        assert verifier.recognise(token) is principal
        others = Limits(requests_per_minute=8)
        verifier.use(others)
        assert verifier.recognise(token) is None
        assert (await verifier.verify(token)).limits == others


@virtual_time
async def test_another_token_is_never_recognised() -> None:
    """Not even one that differs in its signature only, or goes on."""
    token = OLD.sign(claims(NOW))
    async with verifying(ScriptedJwksSource(document_of(OLD)), FakeClock(NOW)) as verifier:
        await verifier.verify(token)
        for other in (b"", token[:-1], token + b"A", OLD.sign(claims(NOW, sub="eve")), token * 50):
            assert verifier.recognise(other) is None


@virtual_time
async def test_what_was_refused_is_not_recognised() -> None:
    wrong = OLD.sign(claims(NOW, aud="other"))
    async with verifying(ScriptedJwksSource(document_of(OLD)), FakeClock(NOW)) as verifier:
        with pytest.raises(InvalidApiKey, match="audience"):
            await verifier.verify(wrong)
        assert verifier.recognise(wrong) is None


@virtual_time
async def test_a_withdrawn_key_ends_the_tokens_that_it_verified() -> None:
    source, token = ScriptedJwksSource(document_of(OLD, NEW)), OLD.sign(claims(NOW))
    async with verifying(source, FakeClock(NOW)) as verifier:
        await verifier.verify(token)
        source.document = document_of(NEW)
        await asyncio.sleep(301)
        assert verifier.recognise(token) is None
        with pytest.raises(InvalidApiKey, match="not signed with a key of the identity provider"):
            await verifier.verify(token)
        other = NEW.sign(claims(NOW))
        assert verifier.recognise(other) is None
        assert await verifier.verify(other) is verifier.recognise(other)
        assert verifier.recognise(token) is None


@virtual_time
async def test_tokens_of_a_new_key_are_accepted_as_soon_as_they_come() -> None:
    source, token = ScriptedJwksSource(document_of(OLD)), NEW.sign(claims(NOW))
    async with verifying(source, FakeClock(NOW)) as verifier:
        await verifier.verify(OLD.sign(claims(NOW)))
        source.document = document_of(OLD, NEW)
        await asyncio.sleep(20)
        assert (await verifier.verify(token)).key_id == "jwt:ada"
    assert len(source.fetched_at) == 2


@virtual_time
async def test_a_provider_whose_keys_have_no_names_may_rotate_too() -> None:
    old, new = signing_key(None, "EdDSA", 2), signing_key(None, "EdDSA", 3)
    source = ScriptedJwksSource(document_of(old))
    async with verifying(source, FakeClock(NOW)) as verifier:
        await verifier.verify(old.sign(claims(NOW)))
        source.document = document_of(new)
        await asyncio.sleep(20)
        await verifier.verify(new.sign(claims(NOW)))


@virtual_time
async def test_made_up_names_of_keys_are_refused_and_cost_the_provider_nothing() -> None:
    source = ScriptedJwksSource(document_of(OLD))
    async with verifying(source, FakeClock(NOW)) as verifier:
        for number in range(200):
            with pytest.raises(InvalidApiKey):
                await verifier.verify(OLD.sign(claims(NOW), kid=f"made-up-{number}"))
    assert len(source.fetched_at) == 1


@virtual_time
async def test_a_wrong_signature_by_a_known_name_asks_nobody() -> None:
    source = ScriptedJwksSource(document_of(OLD))
    async with verifying(source, FakeClock(NOW)) as verifier:
        await asyncio.sleep(20)
        with pytest.raises(InvalidApiKey, match="signature is wrong"):
            await verifier.verify(NEW.sign(claims(NOW), kid="old"))
    assert len(source.fetched_at) == 1


@virtual_time
async def test_while_the_provider_is_away_known_keys_serve_and_unknown_ones_get_503() -> None:
    source = ScriptedJwksSource(document_of(OLD))
    async with verifying(source, FakeClock(NOW)) as verifier:
        await verifier.verify(OLD.sign(claims(NOW)))
        source.fail()
        await asyncio.sleep(400)
        assert verifier.state() == "stale"
        await verifier.verify(OLD.sign(claims(NOW, sub="eve")))
        with pytest.raises(StoreUnavailable):
            await verifier.verify(NEW.sign(claims(NOW)))


@virtual_time
async def test_when_even_stale_keys_are_too_old_nothing_is_recognised() -> None:
    source, token = ScriptedJwksSource(document_of(OLD)), OLD.sign(claims(NOW, exp=NOW + 10**6))
    async with verifying(source, FakeClock(NOW)) as verifier:
        await verifier.verify(token)
        source.fail()
        await asyncio.sleep(300 + 3600)
        assert verifier.recognise(token) is None
        with pytest.raises(StoreUnavailable):
            await verifier.verify(token)
        source.document = document_of(OLD)
        await asyncio.sleep(31)
        assert verifier.recognise(token) is not None


@virtual_time
async def test_nothing_is_recognised_while_there_never_were_keys() -> None:
    token = OLD.sign(claims(NOW))
    async with verifying(ScriptedJwksSource(KeysUnavailable("away")), FakeClock(NOW)) as verifier:
        with pytest.raises(StoreUnavailable):
            await verifier.verify(token)
        assert verifier.recognise(token) is None
        with pytest.raises(InvalidApiKey):
            await verifier.verify(b"no.token.")


@virtual_time
async def test_the_callers_that_asked_least_lately_are_forgotten_first() -> None:
    tokens = [OLD.sign(claims(NOW, sub=name)) for name in "abcd"]
    async with verifying(ScriptedJwksSource(document_of(OLD)), FakeClock(NOW), 3) as verifier:
        for token in tokens[:3]:
            await verifier.verify(token)
        assert verifier.recognise(tokens[0]) is not None
        await verifier.verify(tokens[3])
        assert [verifier.recognise(token) is not None for token in tokens] == [True, False, True, True]
