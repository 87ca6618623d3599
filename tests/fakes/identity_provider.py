"""An identity provider on loopback: a thread that publishes keys, and issues tokens signed with them."""

import functools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://id.example.com/"
AUDIENCE = "penstock"

Jwk = dict[str, object]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@functools.cache
def private_key(algorithm: str, number: int = 0, rsa_bits: int = 2048) -> PrivateKey:
    """A key pair; the same one for the same arguments, because making RSA's takes a while."""
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


@dataclass(frozen=True)
class SigningKey:
    """One key of the provider's: `kid` is its name, `private` the half that is never published."""

    kid: str | None
    algorithm: str
    private: PrivateKey

    def jwk(self, **members: object) -> Jwk:
        """The public half as it is published; `members` add to it, or replace; None takes away."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            made = RSAAlgorithm.to_jwk(public, as_dict=True)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            made = ECAlgorithm.to_jwk(public, as_dict=True)
        else:
            made = OKPAlgorithm.to_jwk(public, as_dict=True)
        named = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        return {name: value for name, value in (made | named | members).items() if value is not None}

    def sign(self, claims: dict[str, object], **header: object) -> bytes:
        """A token with these claims."""
        named = {"kid": self.kid} if self.kid is not None else {}
        return jwt.encode(claims, self.private, self.algorithm, headers=named | header).encode()


def signing_key(kid: str | None, algorithm: str = "ES256", number: int = 0) -> SigningKey:
    """A key of that name. number: which pair, where a test needs several of one algorithm."""
    return SigningKey(kid, algorithm, private_key(algorithm, number))


def jwks(*keys: SigningKey | Jwk) -> bytes:
    """The document that publishes these keys."""
    published = [key.jwk() if isinstance(key, SigningKey) else key for key in keys]
    return msgspec.json.encode({"keys": published})


def claims(now: float, **more: object) -> dict[str, object]:
    """Those of a good token, for an hour; `more` add to them, or replace; None takes away."""
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": int(now), "exp": int(now) + 3600}
    return {name: value for name, value in (usual | more).items() if value is not None}


class IdentityProvider:
    """What the thread answers, for the test to change at any time.

    status: of each answer. headers: of each answer, beside the usual. hangs: whether questions
    stay unanswered. requests: the headers of all that were asked.
    """

    def __init__(self, *keys: SigningKey) -> None:
        self.document = jwks(*keys)
        self.status = 200
        self.headers: dict[str, str] = {}
        self.hangs = False
        self.requests: list[dict[str, str]] = []
        self.asked = threading.Semaphore(0)
        self._over = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where the keys are."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    def publish(self, *keys: SigningKey) -> None:
        """These are the keys from now on."""
        self.document = jwks(*keys)

    def issue(self, key: SigningKey, **more: object) -> bytes:
        """A token of now."""
        return key.sign(claims(time.time(), **more))

    @contextmanager
    def serving(self) -> Iterator["IdentityProvider"]:
        """Answer on a port of its own until the end."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One answer, or none for as long as the provider lives."""
        self.requests.append({name.lower(): value for name, value in handler.headers.items()})
        self.asked.release()
        if self.hangs:
            self._over.wait()
            return
        handler.send_response(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(self.document)))
        handler.end_headers()
        with suppress(ConnectionError):  # who reads no further than it wants
            handler.wfile.write(self.document)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Tests read `requests`."""

        return Handler
