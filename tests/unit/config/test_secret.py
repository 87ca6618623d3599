"""Secrets: where they come from, and that they never show."""

from pathlib import Path

import pytest

from service.config import ConfigInvalid, Secret, Settings
from service.config.load import settings_from
from service.config.secret import MAX_SECRET_BYTES, SecretMissing, resolve
from service.config.urls import without_password

HUSH = "hush-1234567890"


def made(document: dict[str, object], environment: dict[str, str], directory: Path) -> Settings:
    """Settings from a document, with `sim` beside what it holds."""
    return settings_from(
        {"providers": [{"name": "sim", "kind": "sim"}]} | document,
        source="penstock.toml",
        environment=environment,
        overrides={},
        insecure_no_auth=False,
        working_directory=directory,
    )


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(HUSH, id="a-literal"),
        pytest.param("env:HUSH", id="a-variable"),
        pytest.param("file:hush.txt", id="a-file-beside"),
    ],
)
def test_the_three_ways_to_write_a_secret(tmp_path: Path, written: str) -> None:
    (tmp_path / "hush.txt").write_text(f"{HUSH}\n")
    assert resolve(written, {"HUSH": HUSH}, tmp_path).reveal() == HUSH


@pytest.mark.parametrize(
    ("written", "found"),
    [
        pytest.param("env:GONE", "env:GONE, but the environment variable GONE is not set", id="no-variable"),
        pytest.param("env:EMPTY", "env:EMPTY, which is empty", id="an-empty-variable"),
        pytest.param("env:TORN", "env:TORN, with characters that no header can carry", id="a-line-break"),
        pytest.param(f"env:{HUSH}", '"env:" and no name of a variable', id="a-value-for-a-name"),
        pytest.param("file:gone", "file:{directory}/gone, which can't be read (No such file", id="no-file"),
        pytest.param("file:.", "file:{directory}, which can't be read (Is a directory)", id="a-directory"),
        pytest.param("file:empty", "file:empty, which is empty", id="an-empty-file"),
        pytest.param("file:large", "file:{directory}/large, which is too large", id="a-file-too-large"),
        pytest.param("file:bin", "file:bin, with characters that no header can carry", id="a-binary-file"),
        pytest.param("file:a\0b", "file:{directory}/a\0b, which can't be read (not a path)", id="no-path"),
        pytest.param("", "a literal secret, which is empty", id="an-empty-literal"),
    ],
)
def test_a_secret_that_is_missing_says_why_and_never_what(tmp_path: Path, written: str, found: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "large").write_text("x" * (MAX_SECRET_BYTES + 1))
    (tmp_path / "bin").write_bytes(b"\xff\x00")
    with pytest.raises(SecretMissing) as caught:
        resolve(written, {"EMPTY": "", "TORN": f"{HUSH}\nX: y"}, tmp_path)
    assert caught.value.found.startswith(found.format(directory=tmp_path))
    assert HUSH not in caught.value.found + caught.value.expected


def test_a_secret_never_shows() -> None:
    """Neither by repr, str and format, nor inside the Settings that hold it."""
    secret = Secret(HUSH)
    assert f"{secret} {secret!r} {secret!s}" == "*** *** ***"
    assert secret == Secret(HUSH) and secret != Secret("other") and hash(secret) == hash(Secret(HUSH))


def test_settings_show_no_secret(tmp_path: Path) -> None:
    """Keys, and the passwords in addresses."""
    document: dict[str, object] = {
        "auth": {"admin_key": HUSH},
        "store": {"database": f"postgresql://u:{HUSH}@h/d", "redis": f"rediss://:{HUSH}@h:6379/0"},
        "providers": [{"name": "up", "kind": "openai", "api_key": HUSH}],
    }
    settings = made(document, {}, tmp_path)
    assert settings.providers[0].api_key == Secret(HUSH)
    assert HUSH not in repr(settings)
    assert HUSH in settings.store.database


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"auth": {"admin_key": [HUSH]}}, id="a-list-for-a-secret"),
        pytest.param({"auth": {"admin_key": f"{HUSH}\n"}}, id="a-line-break-in-a-secret"),
        pytest.param({"auth": {"admin_kye": HUSH}}, id="a-mistyped-key"),
        pytest.param({"auth": HUSH}, id="a-secret-for-a-section"),
        pytest.param({"providers": HUSH}, id="a-secret-for-the-providers"),
        pytest.param({"store": {"database": f"postgre://u:{HUSH}@h/d"}}, id="a-wrong-scheme"),
        pytest.param({"store": {"database": f"u:{HUSH}@h/d"}}, id="no-scheme"),
        pytest.param({"store": {"redis": f"redis://u:x/{HUSH}@h:x"}}, id="an-unquoted-slash"),
        pytest.param({"store": {"redis": f"redis://u:x?{HUSH}@h:x"}}, id="an-unquoted-question-mark"),
        pytest.param({"store": {"database": f"x://h/d?password={HUSH}"}}, id="a-password-in-the-query"),
        pytest.param(
            {"providers": [{"name": "up", "kind": "openai", "base_url": f"http://u:{HUSH}@h/v1"}]},
            id="credentials-in-an-address",
        ),
        pytest.param(
            {"providers": [{"name": "up", "kind": "openai", "base_url": f"http://h/v1?key={HUSH}"}]},
            id="a-key-in-an-address",
        ),
    ],
)
def test_mistakes_show_no_secret(tmp_path: Path, document: dict[str, object]) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        made(document, {}, tmp_path)
    assert HUSH not in str(caught.value) + repr(caught.value.mistakes)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("redis://h:6379/0", "redis://h:6379/0", id="nothing-to-hide"),
        pytest.param("redis://:a@b@h:6379/0", "redis://***@h:6379/0", id="an-at-sign-in-the-password"),
        pytest.param("postgresql://u:p@h/d?sslmode=require", "postgresql://***@h/d", id="a-query"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
