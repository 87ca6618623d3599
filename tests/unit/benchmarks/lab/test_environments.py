"""Environments: built once from a lock, whole or not there. Installs a wheel of our own; no index is asked."""

import hashlib
import subprocess
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.lab.environments import environment, existing_environment, find_uv, remove_environments
from benchmarks.lab.subjects import Unavailable

_FILES = {
    "sluice.py": "HEIGHT = 3\n",
    "sluice-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: sluice\nVersion: 1.0\n",
    "sluice-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "sluice-1.0.dist-info/RECORD": "",
}


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A locked requirement file for one small wheel beside it."""
    wheel = tmp_path / "sluice-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in _FILES.items():
            archive.writestr(name, content)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    path = tmp_path / "requirements.txt"
    path.write_text(f"--no-index\n--find-links {tmp_path}\nsluice==1.0 --hash=sha256:{digest}\n")
    return path


def nothing(said: str) -> None:
    """Say nothing."""


def without_uv() -> None:
    """As where there is no uv."""


@pytest.mark.parametrize(
    "installer",
    [
        pytest.param(find_uv, id="with-uv"),
        pytest.param(without_uv, id="with-venv-and-pip-where-there-is-no-uv"),
    ],
)
def test_what_is_locked_is_there(lock: Path, tmp_path: Path, installer: Callable[[], Path | None]) -> None:
    python = environment("peer", lock, nothing, tmp_path / "kept", installer)
    told = subprocess.check_output([python, "-c", "import sluice; print(sluice.HEIGHT)"], text=True)
    assert told == "3\n"


def test_it_is_built_once(lock: Path, tmp_path: Path) -> None:
    """The second time nothing is said, and the same Python comes back."""
    said: list[str] = []
    assert existing_environment("peer", lock, tmp_path / "kept") is None
    first = environment("peer", lock, said.append, tmp_path / "kept")
    assert (first, existing_environment("peer", lock, tmp_path / "kept")) == (
        environment("peer", lock, said.append, tmp_path / "kept"),
        first,
    )
    assert len(said) == 1


def test_another_lock_is_another_environment(lock: Path, tmp_path: Path) -> None:
    """Even one that differs in a comment only: the file's bytes decide."""
    first = environment("peer", lock, nothing, tmp_path / "kept")
    lock.write_text(lock.read_text() + "# and so on\n")
    assert environment("peer", lock, nothing, tmp_path / "kept") != first


def test_an_interrupted_build_is_built_over(lock: Path, tmp_path: Path) -> None:
    """Without the stamp, written last, it doesn't count, and nothing of it stays."""
    python = environment("peer", lock, nothing, tmp_path / "kept")
    home = python.parent.parent
    (home / ".penstock-complete").unlink()
    (home / "half").write_text("written")
    assert existing_environment("peer", lock, tmp_path / "kept") is None
    assert environment("peer", lock, nothing, tmp_path / "kept") == python
    assert not (home / "half").exists()


def test_of_two_builders_one_builds(lock: Path, tmp_path: Path) -> None:
    """The other takes what is there when it gets its turn."""
    said: list[str] = []
    found: list[Path] = []
    builders = [
        threading.Thread(
            target=lambda: found.append(environment("peer", lock, said.append, tmp_path / "kept"))
        )
        for _ in range(2)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert len(found) == 2
    assert found[0] == found[1]
    assert sum(line.startswith("installing") for line in said) == 1


def test_a_changed_file_is_not_installed(lock: Path, tmp_path: Path) -> None:
    """The installer's own words say so."""
    lock.write_text(lock.read_text().partition("sha256:")[0] + f"sha256:{'0' * 64}\n")
    with pytest.raises(Unavailable, match=r"(?is)peer could not be installed.*hash"):
        environment("peer", lock, nothing, tmp_path / "kept")
    assert existing_environment("peer", lock, tmp_path / "kept") is None


def test_all_can_be_removed(lock: Path, tmp_path: Path) -> None:
    """How many there were is told; where none are, it is none."""
    environment("peer", lock, nothing, tmp_path / "kept")
    assert [remove_environments(tmp_path / "kept") for _ in range(2)] == [1, 0]
    assert existing_environment("peer", lock, tmp_path / "kept") is None
