"""What is refused in [auth.jwt], and by which key the operator is told."""

import msgspec
import pytest

from service.config.jwt_rules import DEFAULT_SCOPES, is_key_address, jwt_mistakes
from service.config.settings import Jwt, JwtClaims
from service.principal import USER_SCOPES

GOOD = Jwt(issuer="https://id.example.com/", audience="penstock", jwks_url="https://id.example.com/jwks")


def test_the_names_are_those_of_scopes() -> None:
    """The configuration can't import them: it lies below."""
    assert set(DEFAULT_SCOPES) == {str(scope) for scope in USER_SCOPES}
    assert GOOD.default_scopes == DEFAULT_SCOPES


@pytest.mark.parametrize(
    ("more", "keys"),
    [
        pytest.param({}, [], id="address"),
        pytest.param({"jwks_url": None, "jwks_file": "keys.json"}, [], id="file"),
        pytest.param({"jwks_file": "keys.json"}, ["jwks_file"], id="both"),
        pytest.param({"jwks_url": None}, ["jwks_url"], id="neither"),
        pytest.param({"jwks_url": None, "jwks_file": ""}, ["jwks_file"], id="empty-file"),
        pytest.param({"jwks_url": "http://id.example.com/"}, ["jwks_url"], id="plain-http"),
        pytest.param({"default_scopes": ()}, [], id="no-scopes"),
        pytest.param({"default_scopes": ("chat", "chatt", "admin")}, ["default_scopes"] * 2, id="scopes"),
        pytest.param({"claims": JwtClaims(tenant="")}, ["claims.tenant"], id="claim-without-a-name"),
    ],
)
def test_mistakes(more: dict[str, object], keys: list[str]) -> None:
    settings = msgspec.structs.replace(GOOD, **more)
    assert [key for key, _, _ in jwt_mistakes(settings)] == keys


@pytest.mark.parametrize(
    ("url", "good"),
    [
        pytest.param("https://id.example.com/keys", True, id="https"),
        pytest.param("https://id.example.com/keys?p=policy", True, id="query"),
        pytest.param("http://127.0.0.1:8080/keys", True, id="loopback"),
        pytest.param("http://[::1]/keys", True, id="loopback-ipv6"),
        pytest.param("http://localhost/keys", True, id="localhost"),
        pytest.param("http://localhost.example.com/keys", False, id="name-that-begins-like-localhost"),
        pytest.param("http://10.0.0.1/keys", False, id="http-within-a-network"),
        pytest.param("https://user:secret@id.example.com/keys", False, id="credentials"),
        pytest.param("http://127.0.0.1@id.example.com/keys", False, id="loopback-as-a-user"),
        pytest.param("https://id.example.com/keys#a", False, id="fragment"),
        pytest.param("https:///keys", False, id="no-host"),
        pytest.param("file:///etc/keys", False, id="file"),
        pytest.param("id.example.com/keys", False, id="no-scheme"),
        pytest.param("https://id.example.com/a b", False, id="blank"),
        pytest.param("https://id.example.com:0/", False, id="port-0"),
    ],
)
def test_addresses(url: str, good: bool) -> None:
    assert is_key_address(url) is good


def test_a_mistake_never_shows_credentials() -> None:
    settings = msgspec.structs.replace(GOOD, jwks_url="https://user:secret@id.example.com/keys")
    [(_, found, _)] = jwt_mistakes(settings)
    assert "secret" not in found
