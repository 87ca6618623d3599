"""Tokens of an identity provider over a real socket, with the machine's clock; and what a file must do as well."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import structlog

from service.clock import SystemClock
from service.config.settings import Jwt
from service.errors import InvalidApiKey, StoreUnavailable
from service.keys.jwks_http import FETCH_SECONDS, MAX_DOCUMENT_BYTES, FileJwksSource, HttpJwksSource
from service.keys.key_set import UNKNOWN_KEY_SECONDS, JwksSource, KeysUnavailable
from service.keys.token_verifier import TokenVerifier, token_verifier
from service.principal import Scope
from tests.fakes.identity_provider import AUDIENCE, ISSUER, IdentityProvider, SigningKey, signing_key
from tests.fakes.loops import added_time, until
from tests.fakes.site import advance

RSA, EC, ED = (signing_key(f"k-{name}", name) for name in ("RS256", "ES256", "EdDSA"))
NEW = signing_key("new", "ES256", 1)


@pytest.fixture(name="provider")
def serving_provider() -> Iterator[IdentityProvider]:
    with IdentityProvider(RSA, EC, ED).serving() as provider:
        yield provider


@asynccontextmanager
async def verifying(provider: IdentityProvider, **more: object) -> AsyncIterator[TokenVerifier]:
    """A verifier as the configuration makes it."""
    written = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": provider.url} | more
    verifier = token_verifier(msgspec.convert(written, Jwt), SystemClock())
    await verifier.start()
    try:
        yield verifier
    finally:
        await verifier.close()


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.algorithm)
async def test_a_token_of_each_algorithm(provider: IdentityProvider, key: SigningKey) -> None:
    async with verifying(provider) as verifier:
        token = provider.issue(key, scope="chat")
        principal = await verifier.verify(token)
        assert principal.key_id == "jwt:ada" and principal.scopes == {Scope.CHAT}
        assert verifier.recognise(token) is principal
    assert len(provider.requests) == 1


@added_time
async def test_rotation() -> None:
    """A new key counts as soon as a token names it, an old one no longer once it was withdrawn."""
    with IdentityProvider(RSA).serving() as provider:
        async with verifying(provider) as verifier:
            old = provider.issue(RSA)
            await verifier.verify(old)
            provider.publish(RSA, NEW)
            advance(UNKNOWN_KEY_SECONDS)
            await verifier.verify(provider.issue(NEW))
            provider.publish(NEW)
            advance(UNKNOWN_KEY_SECONDS)
            with pytest.raises(InvalidApiKey):
                await verifier.verify(provider.issue(EC))
            with pytest.raises(InvalidApiKey):
                await verifier.verify(old)
        assert len(provider.requests) == 3


@added_time
async def test_a_provider_that_fails_and_comes_back() -> None:
    with IdentityProvider(RSA).serving() as provider:
        async with verifying(provider, refresh_seconds=60, stale_seconds=600) as verifier:
            await verifier.verify(provider.issue(RSA))
            provider.status = 503
            advance(61)
            await until(lambda: len(provider.requests) == 2 and verifier.state() == "stale")
            await verifier.verify(provider.issue(RSA, sub="eve"))
            advance(601)
            await until(lambda: verifier.state() == "away")
            with pytest.raises(StoreUnavailable):
                await verifier.verify(provider.issue(RSA))
            provider.status = 200
            advance(30)
            await until(lambda: verifier.state() == "fresh")
            await verifier.verify(provider.issue(RSA))


@added_time
async def test_a_provider_that_hangs_holds_a_request_for_five_seconds_at_most() -> None:
    with IdentityProvider(RSA).serving() as provider:
        provider.hangs = True
        async with verifying(provider) as verifier:
            waiting = asyncio.create_task(verifier.verify(provider.issue(RSA)))
            await until(lambda: provider.asked.acquire(blocking=False))
            advance(FETCH_SECONDS)
            with pytest.raises(StoreUnavailable):
                await waiting
            with pytest.raises(StoreUnavailable):
                await verifier.verify(provider.issue(RSA))
            provider.hangs = False
            advance(1)
            await until(lambda: verifier.state() == "fresh")
            await verifier.verify(provider.issue(RSA))


async def test_a_provider_that_is_not_there() -> None:
    """The log says why, without the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/secret-path"
        settings = Jwt(issuer=ISSUER, audience=AUDIENCE, jwks_url=url)
        verifier = token_verifier(settings, SystemClock())
        with structlog.testing.capture_logs() as lines:
            await verifier.start()
            with pytest.raises(StoreUnavailable):
                await verifier.verify(IdentityProvider(RSA).issue(RSA))
            await verifier.close()
    assert [(line["event"], line["reason"], line["serving"]) for line in lines] == [
        ("jwt.keys_away", "ConnectError", "away")
    ]


async def fetched(source: JwksSource) -> bytes:
    """One fetch, with the source closed after."""
    try:
        return await source.fetch()
    finally:
        await source.close()


async def test_the_question(provider: IdentityProvider) -> None:
    """Nothing compressed is asked for, and no credentials are sent."""
    assert await fetched(HttpJwksSource(provider.url + "?p=policy")) == provider.document
    [headers] = provider.requests
    assert headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie"} & set(headers)


def redirect(provider: IdentityProvider) -> None:
    provider.status, provider.headers = 302, {"Location": provider.url}


def fill(provider: IdentityProvider) -> None:
    provider.document = b" " * (MAX_DOCUMENT_BYTES + 1)


def compress(provider: IdentityProvider) -> None:
    provider.headers = {"Content-Encoding": "gzip"}


def refuse(provider: IdentityProvider) -> None:
    provider.status = 404


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(redirect, "status 302", id="redirects-lead-nowhere"),
        pytest.param(refuse, "status 404", id="not-found"),
        pytest.param(fill, "larger than 262144 bytes", id="too-large"),
        pytest.param(compress, "encoding that was not asked for", id="compressed"),
    ],
)
async def test_an_answer_that_is_not_taken(
    provider: IdentityProvider, change: Callable[[IdentityProvider], None], reason: str
) -> None:
    change(provider)
    with pytest.raises(KeysUnavailable, match=reason):
        await fetched(HttpJwksSource(provider.url))
    assert len(provider.requests) == 1


async def test_the_largest_document(provider: IdentityProvider, tmp_path: Path) -> None:
    provider.document = b" " * MAX_DOCUMENT_BYTES
    file = tmp_path / "keys.json"
    file.write_bytes(provider.document)
    assert await fetched(HttpJwksSource(provider.url)) == provider.document
    assert await fetched(FileJwksSource(file)) == provider.document


async def test_no_proxy_of_the_environment(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert await fetched(HttpJwksSource(provider.url)) == provider.document


@added_time
async def test_an_answer_that_drips_is_given_up_after_five_seconds_in_all() -> None:
    """Though each byte comes in time."""
    dripping, more = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n ")
        dripping.set()
        await more.wait()
        writer.write(b" ")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        fetching = asyncio.create_task(fetched(HttpJwksSource(url)))
        await dripping.wait()
        advance(FETCH_SECONDS - 1)
        more.set()
        await asyncio.sleep(0)
        advance(1)
        with pytest.raises(KeysUnavailable, match="no whole answer within 5 s"):
            await fetching


async def test_what_is_no_http_at_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-nonsense\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(KeysUnavailable, match="RemoteProtocolError"):
            await fetched(HttpJwksSource(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        thread.join()


async def test_a_file_is_read_anew(tmp_path: Path) -> None:
    """Replacing it rotates keys."""
    file = tmp_path / "keys.json"
    source = FileJwksSource(file)
    with pytest.raises(KeysUnavailable, match="the file: No such file"):
        await source.fetch()
    file.write_bytes(b"one")
    assert await source.fetch() == b"one"
    file.write_bytes(b"two")
    assert await source.fetch() == b"two"
    file.write_bytes(b" " * (MAX_DOCUMENT_BYTES + 1))
    with pytest.raises(KeysUnavailable, match="larger than"):
        await source.fetch()


async def test_a_verifier_by_file(tmp_path: Path) -> None:
    provider = IdentityProvider(ED)
    file = tmp_path / "keys.json"
    file.write_bytes(provider.document)
    verifier = token_verifier(Jwt(issuer=ISSUER, audience=AUDIENCE, jwks_file=str(file)), SystemClock())
    await verifier.start()
    assert (await verifier.verify(provider.issue(ED))).user == "ada"
    await verifier.close()
