"""By which names a server answers: an open one only to this machine's, one that knows its callers to all."""

from pathlib import Path

import httpx

from tests.e2e.admin import ADMIN_KEY, AUTH_TOML, Admin, as_key
from tests.e2e.gateway import NO_TLS, Gateway, provider_toml
from tests.e2e.raw import get


def as_named(gateway: Gateway, path: str, key: str = "") -> int:
    """The status of a request under a foreign name."""
    headers = {"Host": "penstock.example.com"} | ({"Authorization": f"Bearer {key}"} if key else {})
    return httpx.get(gateway.origin + path, headers=headers, trust_env=False, verify=NO_TLS).status_code


def test_an_open_server_becomes_one_for_everybody_with_its_first_key(tmp_path: Path) -> None:
    """Until then a page could reach it by DNS rebinding; after it, a proxy that passes its own name on."""
    with Gateway(tmp_path) as gateway:
        gateway.start(AUTH_TOML + provider_toml("sim", "sim"))
        assert as_named(gateway, "/v1/models") == 403
        admin = Admin(gateway)
        made = admin.make_key()
        assert as_named(gateway, "/v1/models") == 401
        assert as_named(gateway, "/v1/models", made["key"]) == 200
        assert as_named(gateway, "/livez") == 200
        admin.close()


def test_a_server_for_others_is_found_by_any_name(tmp_path: Path) -> None:
    """With an admin key it may listen on every address, and is closed from the first moment."""
    with Gateway(tmp_path, blank=True) as gateway:
        gateway.start(AUTH_TOML + provider_toml("sim", "sim"), args=("--host", "0.0.0.0"))
        assert as_named(gateway, "/livez") == 200
        assert as_named(gateway, "/v1/models") == 401
        assert as_named(gateway, "/v1/models", ADMIN_KEY) == 200
        assert "callers need a key" in gateway.stderr
        state = gateway.directory / ".penstock"
        assert {path.stat().st_mode & 0o077 for path in (state, *state.rglob("*"))} == {0}


def test_credentials_that_contradict_each_other_are_none(tmp_path: Path) -> None:
    """Two of them: a proxy before us may have believed the other one."""
    with Gateway(tmp_path) as gateway:
        gateway.start(AUTH_TOML + provider_toml("sim", "sim"))
        admin = Admin(gateway)
        good = as_key(admin.make_key())["Authorization"].encode()
        admin.close()
        lines = [b"Authorization: " + good, b"Authorization: Bearer psk_bad"]
        assert get(gateway.origin, "/v1/models", *lines).status == 401
        assert get(gateway.origin, "/v1/models", *reversed(lines)).status == 401
        basic = b"Authorization: Basic YTpi"
        assert get(gateway.origin, "/v1/models", basic, b"x-api-key: " + good[7:]).status == 200
