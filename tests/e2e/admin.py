"""The admin API from outside: make keys, read the ledger."""

from typing import Any

import httpx

from tests.e2e.gateway import NO_TLS, Gateway, eventually

ADMIN_KEY = "admin-secret-of-the-tests"

AUTH_TOML = f'[auth]\nadmin_key = "{ADMIN_KEY}"\n'
"""The section that a gateway's configuration needs for all of this."""

ROW_SECONDS = 8.0
"""The contract allows 2 s until a row can be read; two busy cores may be late."""


class Admin:
    """One gateway's administrator. Close it."""

    def __init__(self, gateway: Gateway) -> None:
        self.http = httpx.Client(
            base_url=gateway.origin,
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            trust_env=False,
            verify=NO_TLS,
            timeout=20.0,
        )

    def make_key(self, **members: object) -> dict[str, Any]:
        """A new key as the API shows it, the secret in `key`."""
        answer = self.http.post("/admin/keys", json={"name": "test", **members})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def rows(self, **parameters: str) -> list[dict[str, Any]]:
        """The ledger's rows, newest first."""
        answer = self.http.get("/admin/ledger", params={"limit": "1000", **parameters})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def wait_rows(self, count: int, **parameters: str) -> list[dict[str, Any]]:
        """At least `count` rows, waiting for them."""

        def found() -> list[dict[str, Any]] | None:
            rows = self.rows(**parameters)
            return rows if len(rows) >= count else None

        return eventually(found, ROW_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self.http.close()


def as_key(made: dict[str, Any]) -> dict[str, str]:
    """The headers of a caller with this key."""
    return {"Authorization": f"Bearer {made['key']}"}
