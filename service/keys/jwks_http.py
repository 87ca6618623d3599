"""Where a key set's document is: an identity provider's address, or a file."""

import asyncio
from pathlib import Path
from typing import Final

import httpx

from service.keys.key_set import KeysUnavailable

FETCH_SECONDS: Final = 5.0
"""All of one fetch, from the name's address to the last byte."""
MAX_DOCUMENT_BYTES: Final = 262_144
"""Some 500 keys; providers publish two to ten."""

# Compressed, a small answer could be of any size.
_HEADERS: Final = {"accept": "application/json, application/jwk-set+json", "accept-encoding": "identity"}


class HttpJwksSource:
    """A document at `url`. Only that address is asked: no redirects, no proxy of the environment."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(
            follow_redirects=False, trust_env=False, timeout=FETCH_SECONDS, headers=_HEADERS
        )

    async def fetch(self) -> bytes:
        """The document. Raises KeysUnavailable, after FETCH_SECONDS at the latest."""
        try:
            async with asyncio.timeout(FETCH_SECONDS), self._client.stream("GET", self._url) as response:
                return await _body(response)
        except TimeoutError:
            raise KeysUnavailable(f"no whole answer within {FETCH_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise KeysUnavailable(type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class FileJwksSource:
    """A document in a file, read anew each time, so that replacing the file rotates keys."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def fetch(self) -> bytes:
        """The document. Raises KeysUnavailable."""
        try:
            return await asyncio.to_thread(self._read)
        except OSError as error:
            raise KeysUnavailable(f"the file: {error.strerror or type(error).__name__}") from None

    async def close(self) -> None:
        """Nothing stays open."""

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            document = file.read(MAX_DOCUMENT_BYTES + 1)
        if len(document) > MAX_DOCUMENT_BYTES:
            raise _too_large()
        return document


async def _body(response: httpx.Response) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise KeysUnavailable(f"status {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise KeysUnavailable("an answer in an encoding that was not asked for")
    document = bytearray()
    async for chunk in response.aiter_raw():
        document += chunk
        if len(document) > MAX_DOCUMENT_BYTES:
            raise _too_large()
    return bytes(document)


def _too_large() -> KeysUnavailable:
    return KeysUnavailable(f"larger than {MAX_DOCUMENT_BYTES} bytes")
