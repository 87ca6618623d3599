"""From claims to a caller: times, audience, and what the caller may do."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config.limits import Limits
from service.config.settings import Jwt, JwtClaims
from service.errors import InvalidApiKey
from service.keys.claims import Caller, read
from service.principal import USER_SCOPES, Principal, Scope
from tests.fakes.identity_provider import AUDIENCE, ISSUER, claims

NOW = 1_700_000_000
SETTINGS = Jwt(issuer=ISSUER, audience=AUDIENCE, jwks_file="keys.json", leeway_seconds=30)


def caller(settings: Jwt = SETTINGS, /, **more: object) -> Caller:
    """Who a good token with `more` speaks for."""
    return read(msgspec.json.encode(claims(NOW, **more)), settings, now=NOW)


def mapped(**names: str) -> Jwt:
    """Settings with other claims' names."""
    return msgspec.structs.replace(SETTINGS, claims=JwtClaims(**names))


def test_a_plain_token() -> None:
    """Its subject is the user, with the default scopes and all models."""
    assert caller() == Caller(Principal(key_id="jwt:ada", user="ada", scopes=USER_SCOPES), NOW + 3630)


def test_a_token_that_says_all() -> None:
    found = caller(tenant="acme", scope="chat ask", models=["fast", "a name with blanks"]).principal
    assert found == Principal(
        key_id="jwt:ada",
        user="ada",
        tenant="acme",
        scopes=frozenset({Scope.CHAT, Scope.ASK}),
        models=frozenset({"fast", "a name with blanks"}),
    )


def test_the_limits_of_any_key_are_its_own() -> None:
    limits = Limits(requests_per_minute=7)
    found = read(msgspec.json.encode(claims(NOW)), SETTINGS, now=NOW, limits=limits)
    assert found.principal.limits == limits


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"exp": NOW - 29}, id="over-within-the-leeway"),
        pytest.param({"exp": NOW + 0.5}, id="fractions-of-seconds"),
        pytest.param({"nbf": NOW + 30}, id="not-before-within-the-leeway"),
        pytest.param({"iat": NOW + 30}, id="issued-within-the-leeway"),
        pytest.param({"iat": None}, id="without-iat"),
        pytest.param({"iat": 0, "nbf": 0}, id="issued-long-ago"),
        pytest.param({"aud": [AUDIENCE]}, id="audience-as-a-list"),
        pytest.param({"aud": ["other", AUDIENCE]}, id="one-audience-of-several"),
        pytest.param({"jti": 7, "azp": None, "other": {}}, id="other-claims-count-for-nothing"),
        pytest.param({"sub": "a" * 255}, id="longest-subject"),
    ],
)
def test_a_good_token(more: dict[str, object]) -> None:
    assert caller(**more).until > NOW


@pytest.mark.parametrize(
    ("more", "message"),
    [
        pytest.param({"iss": None}, "issuer", id="no-issuer"),
        pytest.param({"iss": ISSUER + "x"}, "issuer", id="another-issuer"),
        pytest.param({"iss": ISSUER.rstrip("/")}, "issuer", id="issuer-without-its-slash"),
        pytest.param({"iss": [ISSUER]}, "issuer", id="issuer-in-a-list"),
        pytest.param({"aud": None}, "aud must be", id="no-audience"),
        pytest.param({"aud": "other"}, "another audience", id="another-audience"),
        pytest.param({"aud": AUDIENCE + "x"}, "another audience", id="audience-with-more"),
        pytest.param({"aud": []}, "another audience", id="empty-audience"),
        pytest.param({"aud": [AUDIENCE, 7]}, "aud must be", id="audience-with-a-number"),
        pytest.param({"aud": {AUDIENCE: True}}, "aud must be", id="audience-in-an-object"),
        pytest.param({"exp": None}, "exp is missing", id="no-end"),
        pytest.param({"exp": NOW - 30}, "expired", id="over-as-the-leeway-ends"),
        pytest.param({"exp": 0}, "expired", id="over-long-ago"),
        pytest.param({"exp": str(NOW + 9)}, "exp must be", id="end-as-text"),
        pytest.param({"exp": True}, "exp must be", id="end-as-a-truth"),
        pytest.param({"exp": -1}, "exp must be", id="end-before-time"),
        pytest.param({"exp": 10**300}, "exp must be", id="end-beyond-reason"),
        pytest.param({"nbf": NOW + 31}, r"not valid yet \(nbf\)", id="not-yet"),
        pytest.param({"nbf": "soon"}, "nbf must be", id="beginning-as-text"),
        pytest.param({"iat": NOW + 31}, r"not valid yet \(iat\)", id="issued-in-the-future"),
        pytest.param({"iat": [NOW]}, "iat must be", id="issued-as-a-list"),
        pytest.param({"sub": None}, "no subject", id="no-subject"),
        pytest.param({"sub": ""}, "no subject", id="empty-subject"),
        pytest.param({"sub": 7}, "sub must be", id="subject-as-a-number"),
        pytest.param({"sub": "a\nb"}, "sub must be", id="subject-of-two-lines"),
        pytest.param({"sub": "a" * 256}, "sub must be", id="subject-too-long"),
        pytest.param({"tenant": 7}, "tenant must be", id="tenant-as-a-number"),
        pytest.param({"tenant": ["a"]}, "tenant must be", id="tenant-as-a-list"),
        pytest.param({"scope": 7}, "scope must be", id="scopes-as-a-number"),
        pytest.param({"scope": ["chat", 7]}, "scope must be", id="scopes-with-a-number"),
        pytest.param({"models": {"fast": True}}, "models must be", id="models-as-an-object"),
        pytest.param({"models": ["fast", ""]}, "models must be", id="a-model-without-a-name"),
        pytest.param({"models": []}, "names no model", id="a-list-of-no-models-is-not-all-of-them"),
        pytest.param({"models": " "}, "names no model", id="a-blank-is-not-all-models"),
    ],
)
def test_a_bad_token(more: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidApiKey, match=message):
        caller(**more)


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "iss", "aud", "sub", "tenant", "scope", "models"])
def test_null_is_not_absence(claim: str) -> None:
    """Absence may mean more rights."""
    with pytest.raises(InvalidApiKey):
        read(msgspec.json.encode(claims(NOW) | {claim: None}), SETTINGS, now=NOW)


@pytest.mark.parametrize(
    ("written", "scopes"),
    [
        pytest.param("", set(), id="none"),
        pytest.param([], set(), id="empty-list"),
        pytest.param("openid profile", set(), id="only-unknown-ones"),
        pytest.param("  chat   openid ", {Scope.CHAT}, id="text-with-blanks"),
        pytest.param(["ask", "batch", "x"], {Scope.ASK, Scope.BATCH}, id="list"),
        pytest.param(["ask batch"], set(), id="a-list's-texts-are-names"),
        pytest.param("Chat", set(), id="capitals"),
        pytest.param("admin", {Scope.ADMIN}, id="administrator"),
    ],
)
def test_scopes(written: object, scopes: set[Scope]) -> None:
    assert caller(scope=written).principal.scopes == scopes


def test_no_default_makes_an_administrator() -> None:
    """Even past the check of the configuration."""
    settings = msgspec.structs.replace(SETTINGS, default_scopes=("admin", "chat", "unknown"))
    assert caller(settings).principal.scopes == {Scope.CHAT}


@pytest.mark.parametrize(
    ("path", "more", "tenant"),
    [
        pytest.param("org", {"org": "acme"}, "acme", id="name"),
        pytest.param("org.id", {"org": {"id": "acme"}}, "acme", id="in-an-object"),
        pytest.param("a.b.c", {"a": {"b": {"c": "acme"}}}, "acme", id="in-an-object-of-an-object"),
        pytest.param("org.id", {}, "", id="no-object"),
        pytest.param("org.id", {"org": {}}, "", id="not-in-the-object"),
        pytest.param("https://a.example/org", {"https://a.example/org": "acme"}, "acme", id="address"),
        pytest.param("a.b", {"a.b": "whole", "a": {"b": "inner"}}, "whole", id="whole-name-first"),
    ],
)
def test_where_a_claim_is(path: str, more: dict[str, object], tenant: str) -> None:
    assert caller(mapped(tenant=path), **more).principal.tenant == tenant


def test_each_claim_has_its_own_place() -> None:
    settings = mapped(tenant="org.id", user="email", scopes="realm_access.roles", models="org.models")
    found = caller(
        settings,
        org={"id": "acme", "models": "fast slow"},
        email="ada@example.com",
        realm_access={"roles": ["chat", "offline_access"]},
    ).principal
    assert found == Principal(
        key_id="jwt:ada",
        tenant="acme",
        user="ada@example.com",
        scopes=frozenset({Scope.CHAT}),
        models=frozenset({"fast", "slow"}),
    )


@pytest.mark.parametrize("between", ["text", 7, None, ["id"], True])
def test_a_way_through_something_else_is_refused(between: object) -> None:
    payload = msgspec.json.encode(claims(NOW) | {"org": between})
    with pytest.raises(InvalidApiKey, match=r"org\.id leads through"):
        read(payload, mapped(tenant="org.id"), now=NOW)


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"[]", b'"x"', b'{"a":"\xff"}', b"{" * 9000, b'{"a":1e999}']
)
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidApiKey, match="not a JSON object"):
        read(payload, SETTINGS, now=NOW)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
_NAMES = ["iss", "aud", "exp", "nbf", "iat", "sub", "tenant", "scope", "models"]


@given(more=st.dictionaries(st.sampled_from(_NAMES), _JSON))
def test_whatever_claims_say_nobody_becomes_an_administrator_by_chance(more: dict[str, object]) -> None:
    """They are a caller's or refused, and only the word itself makes an administrator."""
    try:
        found = read(msgspec.json.encode(claims(NOW) | more), SETTINGS, now=NOW)
    except InvalidApiKey:
        return
    assert Scope.ADMIN not in found.principal.scopes or "admin" in str(more.get("scope"))
    assert found.until > NOW
    assert found.principal.key_id.startswith("jwt:")
