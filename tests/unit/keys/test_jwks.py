"""Which published keys may verify tokens."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config.settings import JwtAlgorithm
from service.keys.jwks import JwksInvalid, KeySet, read
from tests.fakes.identity_provider import Jwk, SigningKey, jwks, private_key, signing_key

ALL: tuple[JwtAlgorithm, ...] = ("RS256", "ES256", "EdDSA")
RSA, EC, ED = (signing_key("k", algorithm) for algorithm in ALL)


def names(found: KeySet) -> list[tuple[str | None, str]]:
    """What tokens would ask for."""
    return [(key.kid, key.algorithm) for key in found.keys]


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.algorithm)
def test_a_published_key_verifies_what_its_private_half_signed(key: SigningKey) -> None:
    [found] = read(jwks(key), ALL).keys
    message, _, part = key.sign({"a": 1}).rpartition(b".")
    signature = urlsafe_b64decode(part + b"==")
    assert found.verifies(message, signature)
    assert not found.verifies(message + b"x", signature)
    assert not found.verifies(message, signature[:-1])
    assert not found.verifies(message, b"")


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.algorithm)
def test_a_key_without_alg_use_and_name_counts_by_its_kind(key: SigningKey) -> None:
    published = key.jwk(alg=None, use=None, kid=None)
    assert names(read(jwks(published), ALL)) == [(None, key.algorithm)]


@pytest.mark.parametrize(
    "published",
    [
        pytest.param(EC.jwk(use="enc"), id="for-encryption"),
        pytest.param(EC.jwk(key_ops=["sign"]), id="not-for-verifying"),
        pytest.param(EC.jwk(key_ops="verify"), id="uses-that-are-no-list"),
        pytest.param(RSA.jwk(alg="RS512"), id="for-another-hash"),
        pytest.param(RSA.jwk(alg="PS256"), id="for-another-padding"),
        pytest.param(RSA.jwk(alg="HS256"), id="public-key-as-a-shared-secret"),
        pytest.param(RSA.jwk(alg="none"), id="for-no-signature"),
        pytest.param(EC.jwk(alg="EdDSA"), id="algorithm-of-another-kind"),
        pytest.param(EC.jwk(crv="P-384"), id="another-curve"),
        pytest.param(ED.jwk(crv="Ed448"), id="another-edwards-curve"),
        pytest.param(ED.jwk(crv="X25519"), id="for-key-agreement"),
        pytest.param(RSA.jwk(crv="P-256"), id="rsa-with-a-curve"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}, id="shared-secret"),
        pytest.param(EC.jwk(d="AA"), id="private-half-published"),
        pytest.param(RSA.jwk(k="AA"), id="secret-published"),
        pytest.param(EC.jwk(y=EC.jwk()["x"]), id="point-off-the-curve"),
        pytest.param(EC.jwk(x="AA"), id="short-coordinate"),
        pytest.param(ED.jwk(x=None), id="without-its-number"),
        pytest.param(ED.jwk(x=7), id="number-that-is-no-text"),
        pytest.param(ED.jwk(x="AA"), id="short-edwards-number"),
        pytest.param(RSA.jwk(n=None), id="rsa-without-its-modulus"),
        pytest.param(RSA.jwk(e="Ag"), id="even-exponent"),
        pytest.param(RSA.jwk(e="AQ"), id="exponent-one"),
        pytest.param(RSA.jwk(kty="rsa"), id="kind-unknown"),
        pytest.param(RSA.jwk(kid=7), id="name-that-is-no-text"),
        pytest.param(
            SigningKey("k", "RS256", private_key("RS256", rsa_bits=1024)).jwk(), id="rsa-of-1024-bits"
        ),
        pytest.param(RSA.jwk(n=urlsafe_b64encode(b"\xff" * 1025).decode()), id="rsa-of-more-than-8192-bits"),
    ],
)
def test_a_key_that_may_not_verify_is_left_out(published: Jwk) -> None:
    """The others stay."""
    assert names(read(jwks(published, ED.jwk(kid="good")), ALL)) == [("good", "EdDSA")]


@pytest.mark.parametrize("member", [b"7", b"null", b"[]", b'{"kid":"k"}', b'"k"', b'{"kty":"\xff"}', b"{}"])
def test_what_is_no_key_at_all_is_left_out(member: bytes) -> None:
    document = jwks(ED).replace(b'{"keys":[', b'{"keys":[' + member + b",")
    assert names(read(document, ALL)) == [("k", "EdDSA")]


@pytest.mark.parametrize("algorithm", ALL)
def test_only_configured_algorithms_count(algorithm: JwtAlgorithm) -> None:
    assert names(read(jwks(RSA, EC, ED), [algorithm])) == [("k", algorithm)]


def test_members_that_are_not_known_are_ignored() -> None:
    document = msgspec.json.encode({"keys": [ED.jwk(x5c=["AA"], other={"a": [1]})], "more": None})
    assert names(read(document, ALL)) == [("k", "EdDSA")]


@pytest.mark.parametrize(
    "document",
    [b"", b"null", b"[]", b"{}", b'{"keys":{}}', b'{"keys":null}', b"<html>", b"\xff", b"[" * 100_000],
    ids=lambda document: repr(document[:12]),
)
def test_what_is_no_key_set_is_refused_as_a_whole(document: bytes) -> None:
    with pytest.raises(JwksInvalid):
        read(document, ALL)


def test_an_empty_set_is_one() -> None:
    """A provider may withdraw all keys."""
    assert read(b'{"keys":[]}', ALL) == KeySet()


@pytest.mark.parametrize(
    ("algorithm", "kid", "found"),
    [
        pytest.param("ES256", "a", ["a"], id="by-name"),
        pytest.param("ES256", "c", [], id="name-of-another-algorithm"),
        pytest.param("ES256", "", [], id="empty-name"),
        pytest.param("ES256", None, ["a", "b"], id="without-a-name-all-of-the-algorithm"),
        pytest.param("EdDSA", None, ["c"], id="without-a-name-the-only-one"),
        pytest.param("HS256", "a", [], id="algorithm-that-no-key-has"),
    ],
)
def test_candidates(algorithm: str, kid: str | None, found: list[str]) -> None:
    keys = read(jwks(signing_key("a", number=1), signing_key("b", number=2), signing_key("c", "EdDSA")), ALL)
    assert [key.kid for key in keys.candidates(algorithm, kid)] == found


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(
    members=st.dictionaries(
        st.sampled_from(["kty", "crv", "n", "e", "x", "y", "alg", "kid", "use", "key_ops", "d"]), _JSON
    )
)
def test_whatever_a_key_holds_it_is_read_or_left_out(members: Jwk) -> None:
    for key in (RSA, EC, ED):
        assert len(read(jwks(key.jwk() | members), ALL).keys) <= 1
