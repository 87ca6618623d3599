"""A token's grammar and signature: what is accepted, and every known way round it refused."""

import hashlib
import hmac
from base64 import urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config.settings import JwtAlgorithm
from service.errors import InvalidApiKey
from service.keys.jwks import KeySet, read
from service.keys.jwt import MAX_TOKEN_BYTES, UnknownKey, check_signature, split
from tests.fakes.identity_provider import Jwk, SigningKey, jwks, signing_key

ALL: tuple[JwtAlgorithm, ...] = ("RS256", "ES256", "EdDSA")
RSA, EC, ED = (signing_key(f"k-{algorithm}", algorithm) for algorithm in ALL)
KEYS = read(jwks(RSA, EC, ED), ALL)
CLAIMS: dict[str, object] = {"sub": "ada"}
GOOD = ED.sign(CLAIMS)


def b64(data: bytes) -> bytes:
    """base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=")


def with_header(header: object, token: bytes = GOOD) -> bytes:
    """The same token under another header, so that its signature is wrong."""
    return b".".join([b64(msgspec.json.encode(header)), *token.split(b".")[1:]])


def check(token: bytes, keys: KeySet = KEYS, algorithms: tuple[str, ...] = ALL) -> None:
    """All that is asked before the claims."""
    check_signature(split(token), keys, algorithms)


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.algorithm)
@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
def test_a_token_of_the_provider(key: SigningKey, typ: str | None) -> None:
    token = split(key.sign(CLAIMS, typ=typ))
    check_signature(token, KEYS, ALL)
    assert (token.algorithm, token.kid) == (key.algorithm, key.kid)
    assert msgspec.json.decode(token.payload) == CLAIMS


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"..", id="two-dots"),
        pytest.param(GOOD.rpartition(b".")[0], id="two-parts"),
        pytest.param(GOOD + b".AA", id="four-parts"),
        pytest.param(GOOD.rpartition(b".")[0] + b".", id="without-its-signature"),
        pytest.param(b"." + GOOD.partition(b".")[2], id="without-its-header"),
        pytest.param(GOOD + b"==", id="padded"),
        pytest.param(GOOD + b"\n", id="line-feed-at-the-end"),
        pytest.param(b" " + GOOD, id="blank-in-front"),
        pytest.param(GOOD.replace(b".", b".+", 1), id="alphabet-of-plain-base64"),
        pytest.param(GOOD + b"\xc3\xa9", id="beyond-ascii"),
        pytest.param(GOOD + b"AAA", id="impossible-length"),
        pytest.param(b64(b"null") + b".AA.AA", id="header-that-is-no-object"),
        pytest.param(b64(b"{}") + b".AA.AA", id="header-without-algorithm"),
        pytest.param(b64(b'{"alg":"\xff"}') + b".AA.AA", id="header-that-is-no-utf-8"),
        pytest.param(b64(b"[" * 10_000) + b".AA.AA", id="header-of-10000-levels"),
        pytest.param(with_header({"alg": 7}), id="algorithm-that-is-no-text"),
        pytest.param(with_header({"alg": "EdDSA", "kid": 7}), id="key-name-that-is-no-text"),
        pytest.param(with_header({"alg": "EdDSA", "kid": "k", "crit": ["b64"]}), id="extension"),
        pytest.param(with_header({"alg": "EdDSA", "kid": "k", "crit": None}), id="extension-null"),
        pytest.param(with_header({"alg": "EdDSA", "kid": "k", "b64": False}), id="payload-as-it-is"),
        pytest.param(ED.sign(CLAIMS, typ="logout+jwt"), id="token-of-another-kind"),
    ],
)
def test_what_is_no_token_is_refused(token: bytes) -> None:
    with pytest.raises(InvalidApiKey):
        split(token)


def test_a_signature_has_one_spelling() -> None:
    """The last character of 64 bytes has four bits that nobody reads."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(GOOD[-1])
    assert last % 16 == 0
    for other in range(last + 1, last + 16):
        with pytest.raises(InvalidApiKey, match="malformed"):
            split(GOOD[:-1] + alphabet[other : other + 1])


def test_size_is_looked_at_first() -> None:
    """Even of a token that is otherwise right."""
    fitting = ED.sign({"a": "x" * 11_000})
    assert len(fitting) <= MAX_TOKEN_BYTES
    check(fitting)
    with pytest.raises(InvalidApiKey, match="larger than 16384 bytes"):
        split(ED.sign({"a": "x" * 13_000}))


def shared_secret_token(secret: bytes, algorithm: str = "HS256") -> bytes:
    """A token that whoever knows the public key can make."""
    header = b64(msgspec.json.encode({"alg": algorithm, "kid": RSA.kid}))
    message = header + b"." + b64(msgspec.json.encode(CLAIMS))
    return message + b"." + b64(hmac.digest(secret, message, hashlib.sha256))


def published(key: SigningKey) -> bytes:
    """A public key as bytes that an attacker may take for the secret."""
    return msgspec.json.encode(key.jwk())


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(with_header({"alg": "none"}), id="none"),
        pytest.param(with_header({"alg": "None", "kid": ED.kid}), id="none-in-capitals"),
        pytest.param(with_header({"alg": ""}), id="empty"),
        pytest.param(shared_secret_token(published(RSA)), id="public-key-as-a-shared-secret"),
        pytest.param(shared_secret_token(b""), id="empty-shared-secret"),
        pytest.param(with_header({"alg": "RS512", "kid": RSA.kid}), id="another-hash"),
        pytest.param(with_header({"alg": "PS256", "kid": RSA.kid}), id="another-padding"),
        pytest.param(with_header({"alg": "eddsa", "kid": ED.kid}), id="other-capitals"),
    ],
)
def test_an_algorithm_that_is_not_configured_is_refused(token: bytes) -> None:
    with pytest.raises(InvalidApiKey, match="signature algorithm is not accepted"):
        check(token)


def test_an_algorithm_that_the_configuration_leaves_out_is_refused() -> None:
    """Even if the set held a key for it."""
    with pytest.raises(InvalidApiKey, match="signature algorithm is not accepted"):
        check(RSA.sign(CLAIMS), algorithms=("ES256",))


@pytest.mark.parametrize("named", [RSA, EC, ED], ids=lambda key: key.algorithm)
@pytest.mark.parametrize("written", ALL)
def test_a_key_is_used_with_its_own_algorithm_only(named: SigningKey, written: str) -> None:
    """The token's name for it counts for nothing."""
    token = with_header({"alg": written, "kid": named.kid})
    expected = InvalidApiKey if named.algorithm == written else UnknownKey
    with pytest.raises(expected):
        check(token)


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.algorithm)
@pytest.mark.parametrize("part", [0, 1, 2])
def test_any_changed_part_is_refused(key: SigningKey, part: int) -> None:
    parts = key.sign(CLAIMS).split(b".")
    other = signing_key("other", key.algorithm, number=9).sign({"sub": "eve"}, kid=key.kid, typ="at+jwt")
    parts[part] = other.split(b".")[part]
    with pytest.raises(InvalidApiKey, match="signature is wrong"):
        check(b".".join(parts))


ONE, TWO = signing_key("one", number=1), signing_key("two", number=2)
NAMELESS = signing_key(None, number=1)


@pytest.mark.parametrize(
    ("keys", "signer", "error"),
    [
        pytest.param([ONE.jwk(), TWO.jwk()], ONE, None, id="named-among-several"),
        pytest.param([ONE.jwk()], NAMELESS, None, id="nameless-and-only-one"),
        pytest.param([ONE.jwk(), ED.jwk()], NAMELESS, None, id="nameless-and-only-one-of-its-algorithm"),
        pytest.param([ONE.jwk(kid=None)], NAMELESS, None, id="neither-has-a-name"),
        pytest.param([ONE.jwk(), TWO.jwk()], NAMELESS, InvalidApiKey, id="nameless-among-several"),
        pytest.param([TWO.jwk()], NAMELESS, UnknownKey, id="nameless-and-rotated"),
        pytest.param([ONE.jwk(kid=None)], ONE, UnknownKey, id="named-where-keys-have-no-names"),
        pytest.param([ONE.jwk()], TWO, UnknownKey, id="unknown-name"),
        pytest.param([], ONE, UnknownKey, id="no-keys"),
        pytest.param([], NAMELESS, UnknownKey, id="no-keys-nameless"),
        pytest.param([TWO.jwk(kid="one"), ONE.jwk()], ONE, None, id="one-name-for-two-keys"),
    ],
)
def test_which_key_is_taken(keys: list[Jwk], signer: SigningKey, error: type[Exception] | None) -> None:
    found = read(jwks(*keys), ALL)
    token = signer.sign(CLAIMS)
    if error is None:
        check(token, found)
    else:
        with pytest.raises(error):
            check(token, found)


@given(token=st.binary(max_size=200) | st.from_regex(rb"[A-Za-z0-9_.-]{0,60}", fullmatch=True))
def test_whatever_comes_is_refused_in_one_way(token: bytes) -> None:
    with pytest.raises(InvalidApiKey):
        check(token)


@given(at=st.integers(0, len(GOOD) - 1), char=st.sampled_from(b"AZaz09-_."))
def test_no_changed_character_passes(at: int, char: int) -> None:
    token = bytearray(GOOD)
    token[at] = char
    if bytes(token) != GOOD:
        with pytest.raises((InvalidApiKey, UnknownKey)):
            check(bytes(token))
