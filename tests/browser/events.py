"""A stream of `/v1/streams` as a client of httpx gets it: started, and read whole."""

from dataclasses import dataclass, field

import httpx
import msgspec

from tests.e2e.admin import Admin, as_key
from tests.e2e.gateway import NO_TLS, Gateway
from tests.fakes.answers import Said

SAID = Said(" ".join(f"Grüße{number} 水🌊\n" for number in range(20)))
"""Text whose loss or doubling shows: numbered, of many tokens, with characters that can be torn."""

EVENTS = len(SAID.tokens) + 3
"""Of a stream that says it: the role's, the tokens', the finish reason's, `[DONE]`."""

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@dataclass(frozen=True)
class Caller:
    """A key's holder before one gateway."""

    gateway: Gateway
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """What shows the key."""
        return as_key({"key": self.key})

    def start(self, origin: str) -> dict[str, str]:
        """Start a stream by way of `origin`: its id, its url with the ticket."""
        answer = httpx.post(
            f"{origin}/v1/streams", json=BODY, headers=self.headers, verify=NO_TLS, trust_env=False
        )
        assert answer.status_code == 201, answer.text
        started: dict[str, str] = answer.json()
        return started

    def whole(self, stream_id: str) -> "Read":
        """All that the stream sent from its start, by the key, straight from the gateway."""
        url = f"{self.gateway.origin}/v1/streams/{stream_id}"
        answer = httpx.get(url, headers=self.headers, verify=NO_TLS, trust_env=False, timeout=20.0)
        assert answer.status_code == 200, answer.text
        read = Read()
        read.take(answer.text)
        return read


def new_caller(gateway: Gateway) -> Caller:
    """Make a key."""
    admin = Admin(gateway)
    try:
        return Caller(gateway, admin.make_key()["key"])
    finally:
        admin.close()


@dataclass
class Read:
    """The events that a client saw."""

    ids: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)

    def take(self, received: str) -> None:
        """What came on one connection; a block that broke off is none."""
        for block in received.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "data" in fields:
                self.ids.append(fields["id"])
                self.data.append(fields["data"])

    @property
    def text(self) -> str:
        """What the deltas say together."""
        return "".join(_text_of(data) for data in self.data if data != "[DONE]")

    @property
    def error(self) -> str:
        """The message of the last event, which is an error's."""
        message: str = msgspec.json.decode(self.data[-1])["error"]["message"]
        return message


def _text_of(data: str) -> str:
    chunk = msgspec.json.decode(data)
    return "".join(choice["delta"].get("content") or "" for choice in chunk.get("choices", ()))
