"""Which peers can be measured here, how they are started, and what their locks pin."""

from pathlib import Path

import pytest

from benchmarks.lab.subjects import PLAIN, Inapplicable, Subject, Variant, Way
from benchmarks.peers.fastapi_relay.way import FastApiRelay
from benchmarks.peers.finding import PEERS, find_peers
from benchmarks.peers.litellm.way import LiteLlm
from benchmarks.peers.locked import locked_version

LOCK = "fastapi-sso==2.0 \\\n    --hash=sha256:00\nfastapi==1.0.1 \\\n    --hash=sha256:00\nuvloop==0.23 ; sys_platform != 'win32'\n"


class ANotingLab:
    """Notes what is to be launched, and says that it is ready."""

    upstream_port = 9000

    def __init__(self) -> None:
        self.launched: list[tuple[list[str], str | None, dict[str, str] | None]] = []
        self.written: dict[str, str] = {}

    def launch(
        self,
        name: str,
        command: list[str],
        port: int,
        ready_path: str | None,
        environment: dict[str, str] | None = None,
    ) -> Subject:
        """Note it."""
        self.launched.append((command, ready_path, environment))
        return Subject(name=name, port=port)

    def write(self, name: str, text: str) -> str:
        """Note it."""
        self.written[name] = text
        return f"/run/{name}"

    def redis_url(self) -> str:
        """No Redis is to be asked for."""
        raise AssertionError


@pytest.mark.parametrize(
    ("package", "version"),
    [
        pytest.param("fastapi", "1.0.1", id="not-that-of-a-longer-name"),
        pytest.param("fastapi-sso", "2.0", id="a-name-with-a-hyphen"),
        pytest.param("uvloop", "0.23", id="without-its-marker"),
    ],
)
def test_locked_versions(package: str, version: str) -> None:
    assert locked_version(LOCK, package) == version


def test_what_is_not_pinned_has_no_version() -> None:
    """KeyError, not a guess."""
    with pytest.raises(KeyError):
        locked_version(LOCK, "httpx")


@pytest.mark.parametrize("name", PEERS)
def test_every_lock_pins_by_hash_and_holds_no_address(name: str) -> None:
    """As the project's own: each requirement has hashes, and no index is named."""
    lock = PEERS[name].requirements.read_text()
    assert "://" not in lock
    requirements = lock.replace("\\\n", "").splitlines()
    assert requirements
    assert all("==" in line and "--hash=sha256:" in line for line in requirements)


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_has_an_identity(name: str) -> None:
    """The versions come from its lock."""
    assert any(character.isdigit() for character in PEERS[name].make(Path("python")).identity())


def test_peers_that_are_not_installed_are_named_with_the_remedy(tmp_path: Path) -> None:
    """Nothing is installed unasked."""
    ways, missing = find_peers((), lambda said: None, tmp_path)
    assert ways == []
    assert missing == {
        "fastapi": "not installed; `--install fastapi` does it once (about 40 MB)",
        "litellm": "not installed; `--install litellm` does it once (about 700 MB)",
    }
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(FastApiRelay(Path("/env/python")), id="fastapi"),
        pytest.param(LiteLlm(Path("/env/python")), id="litellm"),
    ],
)
def test_a_peer_runs_on_loopback_apart_from_this_tree(way: Way) -> None:
    """Its own Python, isolated from our directory and variables; the mock provider behind it."""
    lab = ANotingLab()
    subject = way.start(lab, PLAIN)
    [(command, ready_path, environment)] = lab.launched
    assert command[:3] == ["/env/python", "-I", "-m"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == str(subject.port)
    assert ready_path is not None
    assert "http://127.0.0.1:9000/v1" in f"{environment} {lab.written}"


@pytest.mark.parametrize(
    "way", [FastApiRelay(Path("python")), LiteLlm(Path("python"))], ids=["fastapi", "litellm"]
)
def test_peers_have_no_variants(way: Way) -> None:
    """A peer's keys and limits are not ours, so figures beside ours would mislead."""
    with pytest.raises(Inapplicable):
        way.start(ANotingLab(), Variant("guarded"))
