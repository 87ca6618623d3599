"""Requests and answers of the admin API. Data only."""

from service.docs.schemas import Json

_BUDGETS: list[Json] = [{"usd": 20.0, "per": "month"}]
_LIMITS: Json = {"requests_per_minute": 60, "tokens_per_minute": 100_000}

_KEY: Json = {
    "id": "7Hq2mZx0LwT9cBvE",
    "object": "key",
    "name": "Ada's laptop",
    "state": "active",
    "tenant": "acme",
    "user": "ada",
    "models": ["sim"],
    "scopes": ["chat", "embeddings"],
    "limits": _LIMITS,
    "budgets": _BUDGETS,
    "expires_at": 4102444800,
    "metadata": {"team": "search"},
    "created_at": 1795251851,
    "revoked_at": None,
    "previous_expires_at": None,
}

_SECRET = {"key": "psk_7Hq2mZx0LwT9cBvE_…"}

CREATE_REQUESTS: Json = {
    "short": {"summary": "A key that is not limited", "value": {"name": "My first key"}},
    "full": {
        "summary": "With everything",
        "value": {
            "name": "Ada's laptop",
            "tenant": "acme",
            "user": "ada",
            "models": ["sim"],
            "scopes": ["chat", "embeddings"],
            "limits": _LIMITS,
            "budgets": _BUDGETS,
            "expires_at": "2100-01-01T00:00:00Z",
            "metadata": {"team": "search"},
        },
    },
}

CREATE_ANSWERS: Json = {"key": {"summary": "The new key", "value": _KEY | _SECRET}}

KEY_ANSWERS: Json = {"key": {"summary": "A key", "value": _KEY}}

KEYS_ANSWERS: Json = {
    "page": {
        "summary": "The first page",
        "value": {"object": "list", "data": [_KEY], "has_more": True, "next_cursor": "7Hq2mZx0LwT9cBvE"},
    }
}

CHANGE_REQUESTS: Json = {
    "limits": {
        "summary": "More requests, no limit on tokens",
        "value": {"limits": {"requests_per_minute": 120, "tokens_per_minute": None}},
    },
    "budget": {"summary": "Another budget", "value": {"budgets": [{"usd": 50, "per": "month"}]}},
}

ROTATE_REQUESTS: Json = {
    "overlap": {
        "summary": "The old secret opens for a day more",
        "value": {"overlap_seconds": 86400},
    },
    "at_once": {"summary": "The old secret ends now", "value": {}},
}

ROTATE_ANSWERS: Json = {
    "key": {
        "summary": "The key with its new secret",
        "value": _KEY | {"previous_expires_at": 1795338251.5} | _SECRET,
    }
}

PUT_LIMITS_REQUESTS: Json = {
    "both": {"summary": "Limits and a budget", "value": {"limits": _LIMITS, "budgets": _BUDGETS}},
}

_TENANT: Json = {
    "object": "tenant",
    "tenant": "acme",
    "limits": _LIMITS,
    "budgets": _BUDGETS,
    "updated_at": 1795251851,
}

_USER: Json = _TENANT | {"object": "user", "user": "ada"}

TENANT_ANSWERS: Json = {"tenant": {"summary": "A tenant", "value": _TENANT}}

TENANTS_ANSWERS: Json = {
    "page": {
        "summary": "All there are",
        "value": {"object": "list", "data": [_TENANT], "has_more": False, "next_cursor": None},
    }
}

USER_ANSWERS: Json = {"user": {"summary": "A user", "value": _USER}}

USERS_ANSWERS: Json = {
    "page": {
        "summary": "All there are",
        "value": {"object": "list", "data": [_USER], "has_more": False, "next_cursor": None},
    }
}

METERS_ANSWERS: Json = {
    "key": {
        "summary": "A key's",
        "value": {
            "object": "list",
            "data": [
                {
                    "name": "key-requests",
                    "subject": "key",
                    "subject_id": "7Hq2mZx0LwT9cBvE",
                    "tenant": None,
                    "kind": "requests",
                    "per": None,
                    "per_minute": 60,
                    "capacity": 60,
                    "used": 1,
                    "remaining": 59,
                    "reset_seconds": 1.0,
                },
                {
                    "name": "key-usd-month",
                    "subject": "key",
                    "subject_id": "7Hq2mZx0LwT9cBvE",
                    "tenant": None,
                    "kind": "usd",
                    "per": "month",
                    "per_minute": None,
                    "capacity": 20.0,
                    "used": 0.25,
                    "remaining": 19.75,
                    "reset_seconds": 432000.0,
                },
            ],
        },
    }
}

RELOAD_ANSWERS: Json = {
    "changed": {
        "summary": "Two tables changed, and a key that is read at the start only",
        "value": {"changed": ["providers", "models"], "needs_restart": ["streams.keep_seconds"]},
    },
}
