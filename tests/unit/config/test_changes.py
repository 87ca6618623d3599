"""What a running server takes over of a configuration that was read again."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import Provider, Retries, Secret, Server, Settings
from service.config.changes import AT_START, changes
from service.config.settings import Auth, Sections, Store

KEYS = [
    (section, key)
    for section in Sections.__struct_fields__
    if isinstance(held := getattr(Settings(), section), msgspec.Struct)
    for key in held.__struct_fields__
]


def with_another(settings: Settings, section: str, key: str) -> Settings:
    """The same with some other value there; what kind of value is nothing to `changes`."""
    held = getattr(settings, section)
    return msgspec.structs.replace(settings, **{section: msgspec.structs.replace(held, **{key: object()})})


@pytest.mark.parametrize(("section", "key"), [pytest.param(*each, id=".".join(each)) for each in KEYS])
def test_each_key_is_taken_or_waits(section: str, key: str) -> None:
    running = Settings()
    found = changes(running, with_another(running, section, key))
    waits = key in AT_START.get(section, ())
    assert (found.waiting, found.taken) == (
        ((f"{section}.{key}",), ()) if waits else ((), (f"{section}.{key}",))
    )
    assert (found.settings == running) is waits


def test_every_key_that_waits_exists() -> None:
    assert {(section, key) for section, keys in AT_START.items() for key in keys} <= set(KEYS)


def test_tables_are_taken_whole() -> None:
    providers = (Provider(name="sim", kind="sim"),)
    found = changes(Settings(), Settings(providers=providers))
    assert (found.settings.providers, found.taken, found.waiting) == (providers, ("providers",), ())


def test_what_the_command_line_said_stays() -> None:
    running = Settings(insecure_no_auth=True, source="penstock.toml")
    assert changes(running, Settings()).settings == running


def test_secrets_are_compared_and_never_named() -> None:
    before, after = (Settings(auth=Auth(admin_key=Secret(text))) for text in ("one", "two"))
    assert changes(before, Settings(auth=Auth(admin_key=Secret("one")))).taken == ()
    assert changes(before, after).taken == ("auth.admin_key",)


@given(st.sets(st.sampled_from(KEYS)))
def test_reading_the_same_again_changes_nothing_more(keys: set[tuple[str, str]]) -> None:
    """And what waits goes on waiting."""
    read: Any = Settings(
        server=Server(port=9), store=Store(redis="redis://r"), retries=Retries(max_attempts=2)
    )
    for section, key in keys:
        read = with_another(read, section, key)
    first = changes(Settings(), read)
    again = changes(first.settings, read)
    assert (again.settings, again.taken, again.waiting) == (first.settings, (), first.waiting)
