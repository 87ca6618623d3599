"""Other revisions of this project: which one to compare with, and its files in a place of their own."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.lab.machine import ROOT
from benchmarks.lab.subjects import Unavailable

MEASURED = ("service", "requirements/runtime.txt")
"""What the gateway runs from; a commit that changes none of it changes no figure."""

_PREFIX = "penstock-bench-worktree-"
_GIT_LIMIT_SECONDS = 120


class Worktree:
    """The files of one revision, in a directory outside the tree that is removed at the end.

    ref: a tag, a branch, a commit, `HEAD~3`. Making one raises Unavailable where git doesn't know
    it or it has nothing to run; `path` is there inside the `with` block, `revision` (a short hash)
    from the start.
    """

    def __init__(self, ref: str, root: Path = ROOT) -> None:
        self._root = root
        self._commit = _resolve(ref, root)
        self.revision = _git(root, "rev-parse", "--short", self._commit)
        there = _git(root, "ls-tree", "--name-only", self._commit, "--", *MEASURED).splitlines()
        if missing := [name for name in MEASURED if name not in there]:
            raise Unavailable(f"{ref} can't be measured: it has no {' and no '.join(missing)}.")
        self.path: Path

    @property
    def requirements(self) -> Path:
        """Its locked requirements, for an environment of its own."""
        return self.path / "requirements" / "runtime.txt"

    def __enter__(self) -> Self:
        _remove_stale(self._root)
        # The maker's id is in the name, so that a later run sees what a killed one has left.
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")) / self.revision
        try:
            _add_worktree(self._root, self.path, self._commit)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _remove(self._root, self.path.parent)


def default_base(root: Path = ROOT) -> str:
    """What HEAD is to be compared with where nobody says: a name or hash that `Worktree` takes.

    1. The last release: the highest tag `v*` that HEAD comes after.
    2. Where HEAD left main, if it isn't on main.
    3. What was there before the newest commit that changed what is measured.

    Raises Unavailable where history (perhaps cut short: a shallow clone) has none of them.
    """
    head = _resolve("HEAD", root)
    return _last_release(root) or _branch_point(root, head) or _before_last_change(root)


def snapshot(root: Path, into: Path) -> Path:
    """Copy what the gateway of the working tree runs from, so that edits during a run don't reach it.

    Returns `into`, which holds it as the tree does.
    """
    shutil.copytree(root / "service", into / "service", ignore=shutil.ignore_patterns("__pycache__"))
    (into / "requirements").mkdir()
    shutil.copy2(root / "requirements" / "runtime.txt", into / "requirements" / "runtime.txt")
    return into


def _last_release(root: Path) -> str | None:
    # versionsort.suffix: a release stands above its own candidates (v1.0 above v1.0-rc1).
    listed = ("tag", "--list", "v[0-9]*", "--merged", "HEAD", "--no-contains", "HEAD")
    tags = _git(root, "-c", "versionsort.suffix=-", *listed, "--sort=-version:refname").split()
    return tags[0] if tags else None


def _branch_point(root: Path, head: str) -> str | None:
    for main in ("main", "origin/main"):
        try:
            base = _git(root, "merge-base", "HEAD", main)
        except Unavailable:
            continue  # no such branch here, or its history doesn't reach the common commit
        if base != head:
            return _git(root, "rev-parse", "--short", base)
    return None


def _before_last_change(root: Path) -> str:
    changed = _git(root, "log", "-1", "--format=%h", "HEAD", "--", *MEASURED)
    if not changed:
        raise Unavailable(f"There is nothing to compare with: no commit has {' or '.join(MEASURED)}.")
    try:
        return _git(root, "rev-parse", "--verify", "--short", f"{changed}^")
    except Unavailable as error:
        raise Unavailable(
            f"There is nothing to compare with: no release tag `v*`, no other main, and history begins "
            f"at {changed}.{_if_shallow(root)}"
        ) from error


def _resolve(ref: str, root: Path) -> str:
    """The full hash of a commit. Raises Unavailable."""
    _git(root, "rev-parse", "--git-dir")
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except Unavailable as error:
        raise Unavailable(f"git knows no revision {ref!r} here.{_if_shallow(root)}") from error


def _if_shallow(root: Path) -> str:
    if _git(root, "rev-parse", "--is-shallow-repository") != "true":
        return ""
    return " The clone is shallow: `git fetch --unshallow --tags` brings the rest (in CI: fetch-depth 0)."


def _add_worktree(root: Path, path: Path, commit: str) -> None:
    # No hooks: what a developer has run at checkout is not part of a measurement.
    _git(root, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", str(path), commit)


def _remove_stale(root: Path) -> None:
    """Remove what runs that were killed have left, and git's notes of trees that are gone."""
    for line in _git(root, "worktree", "list", "--porcelain").splitlines():
        place = Path(line.removeprefix("worktree ")).parent
        owner = place.name.removeprefix(_PREFIX).partition("-")[0]
        if place.name.startswith(_PREFIX) and not Path("/proc", owner).exists():
            _remove(root, place)
    _git(root, "worktree", "prune")


def _remove(root: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    with contextlib.suppress(Unavailable):  # git's note of it goes at the next run then
        _git(root, "worktree", "prune")


def _git(root: Path, *arguments: str) -> str:
    """What git prints. Raises Unavailable with what it says where it refuses, or isn't there."""
    # In a hook git says by its variables which repository is meant; that one may be another.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=kept,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_LIMIT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise Unavailable("git is not on PATH; comparing revisions needs it.") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"git {arguments[0]} took more than {_GIT_LIMIT_SECONDS} s.") from error
    if done.returncode != 0:
        raise Unavailable(f"git {arguments[0]} refuses: {done.stderr.strip() or 'without a word'}")
    return done.stdout.strip()
