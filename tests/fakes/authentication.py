"""Keys and who recognises them, put together as a worker does, on fakes."""

from collections.abc import Callable
from hashlib import shake_256

from service.config.limits import UNLIMITED, Limits
from service.config.secret import Secret
from service.errors import InvalidApiKey
from service.keys.authenticator import Authenticator
from service.keys.bodies import CreateKey, NewKeyView
from service.keys.service import KeyService
from service.principal import Principal, Scope
from tests.fakes.clock import FakeClock
from tests.fakes.key_store import MemoryKeyStore

ADMIN_KEY = "the-admin-key"
ADDRESS = "192.0.2.1"


class FakeTokens:
    """Tokens of an identity provider: those in `good` are, once verified, recognised."""

    def __init__(self) -> None:
        self.good: dict[bytes, Principal] = {}
        self._verified: set[bytes] = set()
        self.limits: Limits | None = None

    def use(self, limits: Limits) -> None:
        """Other limits of any key."""
        self.limits = limits
        self._verified.clear()

    def recognise(self, token: bytes) -> Principal | None:
        """Whose token it is, if it was verified before."""
        return self.good[token] if token in self._verified else None

    async def verify(self, token: bytes) -> Principal:
        """Whose token it is."""
        if token not in self.good:
            raise InvalidApiKey("The token's signature is wrong.")
        self._verified.add(token)
        return self.good[token]


class Draws:
    """Bytes that are different each time and the same in each run."""

    def __init__(self) -> None:
        self._drawn = 0

    def __call__(self, count: int) -> bytes:
        """That many."""
        self._drawn += 1
        return shake_256(self._drawn.to_bytes(8, "big")).digest(count)


class Bench:
    """A worker. store: may be another one's too. passed: moves all clocks."""

    def __init__(self, store: MemoryKeyStore | None = None, **given: object) -> None:
        self.clock = FakeClock()
        self.moment = 100.0
        self.store = store or MemoryKeyStore()
        self.tokens = FakeTokens()
        self.authenticator = self.make()
        self.service = self.serve(self.authenticator.forget)

    def make(
        self,
        *,
        required: bool | None = None,
        with_tokens: bool = False,
        defaults: Limits = UNLIMITED,
    ) -> Authenticator:
        """A worker's authenticator on this store."""
        return Authenticator(
            self.store,
            required=required,
            admin_key=Secret(ADMIN_KEY),
            defaults=defaults,
            tokens=self.tokens if with_tokens else None,
            now=self.clock.now,
            moment=lambda: self.moment,
        )

    def serve(self, noted: Callable[[str], None]) -> KeyService:
        """The service of a worker, or of a command that has none."""
        return KeyService(self.store, now=self.clock.now, draw=Draws(), noted=noted)

    def pass_time(self, seconds: float) -> None:
        """Move all clocks."""
        self.clock.advance(seconds)
        self.moment += seconds
        self.store.time += seconds

    async def a_key(self, **members: object) -> NewKeyView:
        """A key, made in this worker."""
        body = CreateKey(**{"name": "ci", **members})  # type: ignore[arg-type]  # as a test gives them
        return await self.service.create(body)


def text_of(key: NewKeyView) -> bytes:
    """What its owner sends."""
    return key.key.encode()


EVERYTHING = frozenset(Scope)
