"""`penstock keys`, on a database of its own."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from service.config import Settings
from service.config.settings import Store
from service.keys import credential
from service.keys.cli import key_commands


class Shell:
    """Runs commands on one database, which is not there at first."""

    def __init__(self, url: str) -> None:
        self._commands = key_commands(lambda _: Settings(store=Store(database=url)))

    def run(self, *arguments: str) -> Result:
        """The command's output and exit status."""
        return CliRunner().invoke(self._commands, arguments)

    def json(self, *arguments: str) -> dict[str, object]:
        """What it prints for programs."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        answer: dict[str, object] = msgspec.json.decode(result.stdout)
        return answer


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(f"sqlite:///{tmp_path / 'state' / 'penstock.db'}")


def test_a_key_from_the_shell(shell: Shell) -> None:
    """The key alone on standard output; then listed, rotated, revoked."""
    result = shell.run("create", "--name", "ci")
    assert result.exit_code == 0, result.output
    parsed = credential.parse(result.stdout.strip().encode())
    assert parsed is not None
    assert "nothing shows it again" in result.stderr

    rotated = shell.run("rotate", parsed.id)
    again = credential.parse(rotated.stdout.strip().encode())
    assert again is not None and again.id == parsed.id and again.digest != parsed.digest

    assert shell.run("revoke", parsed.id).exit_code == 0
    listed = shell.run("list").stdout
    assert parsed.id in listed and "revoked" in listed and "ci" in listed
    assert again.digest.hex() not in listed


def test_all_that_the_admin_api_takes(shell: Shell) -> None:
    """In the shell's words."""
    key = shell.json(
        *("create", "--name", "ci", "--tenant", "acme", "--user", "ada", "--model", "a", "--model", "b"),
        *("--scope", "chat", "--scope", "admin", "--requests-per-minute", "5", "--burst", "7"),
        *("--budget", "25usd/month", "--budget", "1000tokens/total", "--expires-at", "2030-03-17T17:46:40Z"),
    )
    assert key["models"] == ["a", "b"]
    assert key["scopes"] == ["chat", "admin"]
    assert key["limits"] == {"requests_per_minute": 5, "burst": 7}
    assert key["budgets"] == [{"usd": 25.0, "per": "month"}, {"tokens": 1000, "per": "total"}]
    assert key["expires_at"] == 1_900_000_000
    assert (key["tenant"], key["user"], key["state"]) == ("acme", "ada", "active")
    assert shell.json("create", "--name", "x", "--expires-at", "1900000000")["expires_at"] == 1_900_000_000


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(("create",), 2, "--name", id="no-name"),
        pytest.param(("create", "--name", ""), 2, "name", id="an-empty-name"),
        pytest.param(("create", "--name", "x", "--scope", "root"), 2, "'root'", id="an-unknown-scope"),
        pytest.param(("create", "--name", "x", "--budget", "25"), 2, "25usd/month", id="no-budget"),
        pytest.param(("create", "--name", "x", "--budget", "xusd/day"), 2, "25usd/month", id="no-amount"),
        pytest.param(("create", "--name", "x", "--budget", "1usd/hour"), 2, "per", id="an-unknown-window"),
        pytest.param(("create", "--name", "x", "--budget", "nanusd/day"), 2, "usd", id="not-a-number"),
        pytest.param(("create", "--name", "x", "--burst", "5"), 1, "requests_per_minute", id="only-a-burst"),
        pytest.param(("create", "--name", "x", "--expires-at", "soon"), 2, "expires_at", id="no-time"),
        pytest.param(
            ("create", "--name", "x", "--budget", "0usd/day"),
            2,
            "Expected `float` > 0.0 (budgets[0].usd)",
            id="a-type-in-its-quotes",
        ),
        pytest.param(("create", "--name", "\udcff"), 2, "UTF-8", id="a-name-that-is-no-utf-8"),
        pytest.param(("create", "--name", "x", "--model", "\udcff"), 2, "UTF-8", id="a-model-that-is-none"),
        pytest.param(("rotate", "0" * 16), 1, "There is no key", id="rotating-no-key"),
        pytest.param(("revoke", "0" * 16), 1, "There is no key", id="revoking-no-key"),
        pytest.param(("list", "--after", "x"), 1, "next_cursor", id="no-cursor"),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], status: int, said: str) -> None:
    result = shell.run(*arguments)
    assert result.exit_code == status, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_pages_from_the_shell(shell: Shell) -> None:
    ids = [shell.json("create", "--name", "x")["id"] for _ in range(3)]
    first = shell.run("list", "--limit", "2")
    assert f"--after {ids[1]}" in first.stderr
    rest = shell.run("list", "--after", str(ids[1]))
    assert str(ids[0]) in rest.stdout and str(ids[1]) not in rest.stdout


def test_a_database_that_is_away_is_said_to_be() -> None:
    """Without its password."""
    result = Shell("postgresql://ada:hunter2@127.0.0.1:1/none").run("list")
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.stderr and "hunter2" not in result.output


def test_a_place_that_can_hold_no_database_is_said_to_be(tmp_path: Path) -> None:
    """In one line, as all that is wrong with a database."""
    (tmp_path / "file").write_text("")
    result = Shell(f"sqlite:///{tmp_path / 'file' / 'penstock.db'}").run("list")
    assert result.exit_code == 1
    assert "penstock.db" in result.stderr and "Traceback" not in result.output
