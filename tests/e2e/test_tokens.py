"""Tokens of an identity provider, from its key set over a socket to a caller's row in the ledger."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.admin import AUTH_TOML, Admin
from tests.e2e.gateway import NO_TLS, Gateway, eventually
from tests.fakes.identity_provider import AUDIENCE, ISSUER, IdentityProvider, signing_key

OLD, NEW, FOREIGN = (
    signing_key(name, "ES256", number) for number, name in enumerate(("old", "new", "foreign"))
)

BODY = {"model": "sim", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def identity() -> Iterator[IdentityProvider]:
    """One that publishes its old key."""
    with IdentityProvider(OLD).serving() as provider:
        yield provider


def config(identity: IdentityProvider) -> str:
    """The simulated model for its callers; three requests a minute for each."""
    return f"""
        {AUTH_TOML}
        [auth.jwt]
        issuer = "{ISSUER}"
        audience = "{AUDIENCE}"
        jwks_url = "{identity.url}"
        refresh_seconds = 1
        [limits.user]
        requests_per_minute = 3
        [[providers]]
        name = "sim"
        kind = "sim"
        """


def ask(gateway: Gateway, token: bytes, path: str = "/v1/chat/completions") -> httpx.Response:
    """One request of the token's bearer."""
    headers = {"Authorization": f"Bearer {token.decode()}"}
    body = {"model": "sim", "input": "Hi"} if path.endswith("embeddings") else BODY
    return httpx.post(
        gateway.origin + path, json=body, headers=headers, trust_env=False, verify=NO_TLS, timeout=20
    )


def test_a_tokens_bearer(tmp_path: Path, identity: IdentityProvider) -> None:
    """Known by its claims, limited as a user, written down; administers nothing; keys may change."""
    with Gateway(tmp_path) as gateway:
        gateway.start(config(identity))
        nobody = httpx.post(
            f"{gateway.origin}/v1/chat/completions", json=BODY, trust_env=False, verify=NO_TLS
        )
        assert nobody.status_code == 401
        ann = identity.issue(OLD, sub="ann", tenant="acme", scope="chat other")
        assert [ask(gateway, ann).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert ask(gateway, ann, "/v1/embeddings").status_code == 403
        headers = {"Authorization": f"Bearer {ann.decode()}"}
        assert (
            httpx.get(
                f"{gateway.origin}/admin/keys", headers=headers, trust_env=False, verify=NO_TLS
            ).status_code
            == 403
        )
        admin = Admin(gateway)
        rows = admin.wait_rows(3, key="jwt:ann")
        assert {(row["tenant"], row["user"]) for row in rows} == {("acme", "ann")}
        admin.close()
        assert ask(gateway, identity.issue(FOREIGN, sub="eve")).status_code == 401
        identity.publish(NEW)
        bob = identity.issue(NEW, sub="bob")
        eventually(lambda: True if ask(gateway, bob).status_code == 200 else None, 10.0)
