"""Revisions to compare with, in real repositories of a few commits."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.lab.revisions import Worktree, default_base, snapshot
from benchmarks.lab.subjects import Unavailable

_SOMEONE = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgSign=false")


def git(root: Path, *arguments: str) -> str:
    command = ["git", *_SOMEONE, *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def commit(root: Path, path: str, content: str = "") -> str:
    """Write one file and commit it; the short hash."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content or path)
    git(root, "add", path)
    git(root, "commit", "--quiet", "--message", f"Write {path}")
    return git(root, "rev-parse", "--short", "HEAD")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two commits: the locked requirements, and a service that says `first`."""
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit(root, "requirements/runtime.txt", "locked")
    commit(root, "service/app.py", "first")
    return root


def a_release(root: Path) -> str:
    git(root, "tag", "v0.9.0")
    commit(root, "service/app.py", "second")
    git(root, "tag", "v0.10.0-rc1")
    git(root, "tag", "v0.10.0")
    git(root, "tag", "volatile")
    commit(root, "README.md")
    return "v0.10.0"


def a_release_that_is_head(root: Path) -> str:
    git(root, "tag", "v0.1.0")
    commit(root, "service/app.py", "second")
    git(root, "tag", "v0.2.0")
    return "v0.1.0"


def a_branch(root: Path) -> str:
    left_at = git(root, "rev-parse", "--short", "HEAD")
    git(root, "switch", "--quiet", "--create", "topic")
    commit(root, "service/app.py", "second")
    commit(root, "service/app.py", "third")
    git(root, "switch", "--quiet", "main")
    commit(root, "service/other.py")
    git(root, "switch", "--quiet", "topic")
    return left_at


def a_release_elsewhere(root: Path) -> str:
    left_at = a_branch(root)
    git(root, "tag", "v9.0.0", "main")
    return left_at


def ahead_of_the_remote(root: Path) -> str:
    pushed = git(root, "rev-parse", "--short", "HEAD")
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    commit(root, "service/app.py", "second")
    return pushed


def main_and_a_change(root: Path) -> str:
    before = git(root, "rev-parse", "--short", "HEAD")
    commit(root, "service/app.py", "second")
    commit(root, "README.md")
    commit(root, "tests/test_app.py")
    return before


def main_and_new_requirements(root: Path) -> str:
    before = git(root, "rev-parse", "--short", "HEAD")
    commit(root, "requirements/runtime.txt", "locked anew")
    commit(root, "requirements/dev.txt")
    return before


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(a_release, id="the-last-release-by-number-not-by-letters"),
        pytest.param(a_release_that_is_head, id="on-a-release-the-one-before"),
        pytest.param(a_branch, id="on-a-branch-where-it-left-main"),
        pytest.param(a_release_elsewhere, id="a-release-that-head-does-not-contain-does-not-count"),
        pytest.param(ahead_of_the_remote, id="on-main-what-was-pushed"),
        pytest.param(main_and_a_change, id="else-before-the-last-change-of-the-service"),
        pytest.param(main_and_new_requirements, id="else-before-the-last-change-of-what-it-runs-on"),
    ],
)
def test_what_head_is_compared_with(root: Path, history: Callable[[Path], str]) -> None:
    expected = history(root)
    assert default_base(root) == expected


def test_a_shallow_clone_says_what_it_lacks(root: Path, tmp_path: Path) -> None:
    """Its history begins at a commit that seems to have changed everything."""
    git(tmp_path, "clone", "--quiet", "--depth", "1", root.as_uri(), "shallow")
    with pytest.raises(Unavailable, match=r"nothing to compare with.*git fetch --unshallow"):
        default_base(tmp_path / "shallow")
    with pytest.raises(Unavailable, match=r"no revision 'HEAD~1' here.*git fetch --unshallow"):
        Worktree("HEAD~1", tmp_path / "shallow")


def test_a_shallow_clone_with_enough_history_will_do(root: Path, tmp_path: Path) -> None:
    """The change and its parent are there."""
    before = main_and_a_change(root)
    git(tmp_path, "clone", "--quiet", "--depth", "4", root.as_uri(), "shallow")
    assert default_base(tmp_path / "shallow") == before


def test_a_history_of_one_commit_has_nothing_to_compare(tmp_path: Path) -> None:
    """It is said plainly, and not blamed on a shallow clone."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    first = commit(tmp_path, "service/app.py")
    with pytest.raises(Unavailable, match=rf"history begins at {first}\.$"):
        default_base(tmp_path)


def no_repository(root: Path) -> str:
    (root / ".git").rename(root / "gone")
    return "HEAD"


def before_the_service(root: Path) -> str:
    return "HEAD~1"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda root: "v7", "git knows no revision 'v7' here.$", id="an-unknown-name"),
        pytest.param(lambda root: "--all", "git knows no revision '--all' here.$", id="an-option"),
        pytest.param(lambda root: "HEAD:service", "git knows no revision", id="a-tree-is-no-revision"),
        pytest.param(no_repository, "not a git repository", id="no-repository"),
        pytest.param(before_the_service, "HEAD~1 can't be measured: it has no service", id="no-service"),
    ],
)
def test_revisions_that_are_not_there(root: Path, make: Callable[[Path], str], message: str) -> None:
    with pytest.raises(Unavailable, match=message):
        Worktree(make(root), root)


def test_without_git_nothing_can_be_compared(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what is missing."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match="git is not on PATH"):
        default_base(root)


@pytest.mark.parametrize(
    ("ref", "content"),
    [
        pytest.param("HEAD", "third", id="head"),
        pytest.param("HEAD~1", "second", id="the-one-before"),
        pytest.param("v1.0", "first", id="a-tag-with-a-message"),
        pytest.param("topic", "second", id="a-branch"),
    ],
)
def test_a_worktree_has_the_files_of_its_revision(root: Path, ref: str, content: str) -> None:
    git(root, "tag", "--annotate", "--message", "First", "v1.0")
    second = commit(root, "service/app.py", "second")
    git(root, "branch", "topic")
    third = commit(root, "service/app.py", "third")
    (root / "service" / "app.py").write_text("being edited")
    with Worktree(ref, root) as tree:
        assert (tree.path / "service" / "app.py").read_text() == content
        assert tree.requirements.read_text() == "locked"
        assert {"HEAD": third, "HEAD~1": second, "topic": second}.get(ref, tree.revision) == tree.revision
        assert not tree.path.is_relative_to(root)
    assert (root / "service" / "app.py").read_text() == "being edited"
    assert not tree.path.parent.exists()
    assert git(root, "worktree", "list").count("\n") == 0


def test_a_worktree_is_removed_when_the_run_fails(root: Path) -> None:
    """Its directory, and git's note of it."""
    tree = Worktree("HEAD", root)
    with pytest.raises(KeyboardInterrupt), tree:
        raise KeyboardInterrupt
    assert not tree.path.parent.exists()
    assert git(root, "worktree", "list").count("\n") == 0


def test_what_a_killed_run_has_left_goes_at_the_next(root: Path, tmp_path: Path) -> None:
    """Told by the maker's id; a worktree of a live process, or of a person, stays."""
    over = subprocess.Popen(["true"])
    over.wait()
    left = tmp_path / f"penstock-bench-worktree-{over.pid}-x" / "abc"
    persons = tmp_path / "mine" / "abc"
    for place in (left, persons):
        git(root, "worktree", "add", "--quiet", "--detach", str(place))
    with Worktree("HEAD", root), Worktree("HEAD", root) as second:
        assert not left.parent.exists()
        assert git(root, "worktree", "list").count("\n") == 3
        assert second.path.exists()
    assert persons.exists()


def test_hooks_of_a_developer_do_not_run(root: Path) -> None:
    """One that refuses a checkout doesn't stop the comparison."""
    hook = root / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with Worktree("HEAD", root) as tree:
        assert (tree.path / "service" / "app.py").exists()


def test_a_hooks_variables_do_not_mislead(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a hook of another repository the variables of git point at that one."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    with Worktree("HEAD", root) as tree:
        assert (tree.path / "service" / "app.py").read_text() == "first"


def test_a_snapshot_does_not_see_later_edits(root: Path, tmp_path: Path) -> None:
    """What is there when it is made, committed or not, without what Python has compiled."""
    (root / "service" / "new.py").write_text("not committed")
    (root / "service" / "__pycache__").mkdir()
    (root / "service" / "__pycache__" / "app.pyc").write_bytes(b"")
    into = snapshot(root, tmp_path / "copy")
    (root / "service" / "app.py").write_text("edited later")
    files = {path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()}
    assert files == {"service/app.py", "service/new.py", "requirements/runtime.txt"}
    assert (into / "service" / "app.py").read_text() == "first"
