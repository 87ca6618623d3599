"""Which peers there are, and which of them can be measured on this machine."""

from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from benchmarks.lab.environments import ENVIRONMENTS, environment, existing_environment
from benchmarks.lab.subjects import Way
from benchmarks.peers.fastapi_relay import way as fastapi_relay
from benchmarks.peers.litellm import way as litellm


class Peer(msgspec.Struct, frozen=True):
    """Someone that needs an environment of its own. megabytes: about what that takes on disk."""

    requirements: Path
    make: Callable[[Path], Way]
    megabytes: int


PEERS = {
    fastapi_relay.FastApiRelay.name: Peer(fastapi_relay.REQUIREMENTS, fastapi_relay.FastApiRelay, 40),
    litellm.LiteLlm.name: Peer(litellm.REQUIREMENTS, litellm.LiteLlm, 700),
}
"""By the name that `--install` takes."""


def find_peers(
    install: Collection[str], say: Callable[[str], None], directory: Path = ENVIRONMENTS
) -> tuple[list[Way], dict[str, str]]:
    """The peers whose environment is there, and by name why the others can't be measured.

    install: names of `PEERS`, whose environment is made where it isn't there yet. Raises
    Unavailable where that fails: whoever asks for a peer by name doesn't want a run without it.
    """
    ways: list[Way] = []
    missing: dict[str, str] = {}
    for name, peer in PEERS.items():
        if name in install:
            python: Path | None = environment(name, peer.requirements, say, directory)
        else:
            python = existing_environment(name, peer.requirements, directory)
        if python is not None:
            ways.append(peer.make(python))
        else:
            missing[name] = f"not installed; `--install {name}` does it once (about {peer.megabytes} MB)"
    return ways, missing
