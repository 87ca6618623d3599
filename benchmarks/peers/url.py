"""A gateway that is already running, given by its URL. Loopback only: load goes nowhere else."""

from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import msgspec

from benchmarks.lab.subjects import PLAIN, Inapplicable, Launcher, Subject, Unavailable, Variant
from benchmarks.peers.listeners import listening_pids
from benchmarks.upstream.script import Script, prompt

_LOOPBACK = ("127.0.0.1", "localhost")
_PROBE_LIMIT_SECONDS = 30
_PROBE = Script(tokens=3)
_LAST_TOKEN = b"000002"


class Url:
    """Any OpenAI-compatible gateway on this machine whose provider is a mock provider of ours.

    address: its base URL, `http://127.0.0.1:PORT/v1`. name: in tables; None is its host and port,
    so that several can be told apart. model: what it calls the model that the mock
    provider stands for. api_key: sent as a bearer token; None sends none. Raises Unavailable where
    the address isn't on loopback or can't be used.
    """

    def __init__(
        self, address: str, name: str | None = None, model: str = "bench", api_key: str | None = None
    ) -> None:
        self._address = address
        self._port, self._base_path = parse_address(address)
        self.name = name or f"127.0.0.1:{self._port}"
        self._model = model
        self._headers = "" if api_key is None else _authorization(api_key)

    def identity(self) -> str:
        """Its address; what runs there isn't known."""
        return self._address

    def start(self, lab: Launcher, variant: Variant) -> Subject:
        """It as it is, after one call that shows that a mock provider answers behind it.

        Where its processes can be found, `pids` are the roots of their trees. Raises Unavailable
        where the call fails or someone else answers; Inapplicable for any variant but the plain one.
        """
        if variant != PLAIN:
            raise Inapplicable(f"{self._address} is measured as it is: it has no {variant.name}")
        if (fault := self._probe()) is not None:
            raise Unavailable(
                f"{self._address} can't be measured: {fault}. Its model {self._model!r} must lead to a mock "
                "provider; `just bench upstream` starts one."
            )
        return Subject(
            name=self.name,
            port=self._port,
            pids=listening_pids(self._port),
            base_path=self._base_path,
            headers=self._headers,
            model=self._model,
        )

    def _probe(self) -> str | None:
        """What is wrong with the answer to one small stream; None where it is a mock provider's.

        Load that went on to a real provider would be paid for.
        """
        body = {
            "model": self._model,
            "stream": True,
            "messages": [{"role": "user", "content": prompt(_PROBE, "Are you there?")}],
        }
        headers = {"Content-Type": "application/json"}
        if self._headers:
            headers["Authorization"] = self._headers.partition(": ")[2].strip()
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_PROBE_LIMIT_SECONDS)
        try:
            path = f"{self._base_path}/chat/completions"
            connection.request("POST", path, msgspec.json.encode(body), headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            return f"no answer ({type(error).__name__}: {error})"
        finally:
            connection.close()
        if response.status != 200:
            return f"it answers {response.status}: {answer[:300].decode(errors='replace').strip()}"
        return None if _LAST_TOKEN in answer else "the answer isn't a mock provider's"


def parse_address(address: str) -> tuple[int, str]:
    """The port and the base path (without a slash at its end) of a base URL.

    Raises Unavailable where it isn't plain HTTP on 127.0.0.1.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise Unavailable(f"{address} is no URL: {error}") from error
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        raise Unavailable(
            f"{address} is refused: load goes to http://127.0.0.1 only, never to another machine."
        )
    if port is None or parts.username is not None or parts.query or parts.fragment:
        raise Unavailable(f"{address} is refused: give it as http://127.0.0.1:PORT/v1.")
    return port, parts.path.rstrip("/")


def _authorization(api_key: str) -> str:
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key or not api_key:
        raise Unavailable("The API key can't be sent in a header: it must be printable ASCII without spaces.")
    return f"authorization: Bearer {api_key}\r\n"
