"""The routes that hand out keys and set limits."""

from service.docs import admin_examples as admin
from service.docs.route import Route
from service.errors import InvalidRequest, ObjectNotFound

TAG = "Administration"

KEY_ROUTES: dict[tuple[str, str], Route] = {
    ("post", "/admin/keys"): Route(
        tag=TAG,
        name="createKey",
        summary="Make a key",
        description="An open server that is not told otherwise asks everybody for a key from its first one on.",
        requests=admin.CREATE_REQUESTS,
        answers=admin.CREATE_ANSWERS,
    ),
    ("get", "/admin/keys"): Route(
        tag=TAG,
        name="listKeys",
        summary="List the keys",
        answers=admin.KEYS_ANSWERS,
        failures=(InvalidRequest,),
    ),
    ("get", "/admin/keys/{key_id}"): Route(
        tag=TAG,
        name="getKey",
        summary="Show a key",
        answers=admin.KEY_ANSWERS,
        failures=(ObjectNotFound,),
    ),
    ("patch", "/admin/keys/{key_id}"): Route(
        tag=TAG,
        name="updateKey",
        summary="Change a key",
        description="`limits` and `metadata` are merged name by name (RFC 7396); `budgets`, `models` and `scopes` are"
        " replaced as a whole.",
        requests=admin.CHANGE_REQUESTS,
        answers=admin.KEY_ANSWERS,
        failures=(ObjectNotFound,),
    ),
    ("post", "/admin/keys/{key_id}/rotate"): Route(
        tag=TAG,
        name="rotateKey",
        summary="Replace a key's secret",
        description="Without a body, or with `overlap_seconds` 0, the old secret ends at once.",
        requests=admin.ROTATE_REQUESTS,
        needs_body=False,
        answers=admin.ROTATE_ANSWERS,
        failures=(ObjectNotFound,),
    ),
    ("delete", "/admin/keys/{key_id}"): Route(
        tag=TAG,
        name="revokeKey",
        summary="Revoke a key",
        description="It stays in the list, as `revoked`, and what it used in the ledger.",
        failures=(ObjectNotFound,),
    ),
}

LIMIT_ROUTES: dict[tuple[str, str], Route] = {
    ("get", "/admin/limits"): Route(
        tag=TAG,
        name="getLimits",
        summary="Show what is left of limits",
        description="Name one of them.",
        answers=admin.METERS_ANSWERS,
        failures=(InvalidRequest, ObjectNotFound),
    ),
    ("get", "/admin/tenants"): Route(
        tag=TAG,
        name="listTenants",
        summary="List the tenants that have limits",
        answers=admin.TENANTS_ANSWERS,
        failures=(InvalidRequest,),
    ),
    ("get", "/admin/tenants/{tenant_id}"): Route(
        tag=TAG,
        name="getTenant",
        summary="Show a tenant's limits",
        answers=admin.TENANT_ANSWERS,
        failures=(InvalidRequest, ObjectNotFound),
    ),
    ("put", "/admin/tenants/{tenant_id}"): Route(
        tag=TAG,
        name="putTenant",
        summary="Set a tenant's limits",
        requests=admin.PUT_LIMITS_REQUESTS,
        answers=admin.TENANT_ANSWERS,
    ),
    ("delete", "/admin/tenants/{tenant_id}"): Route(
        tag=TAG,
        name="deleteTenant",
        summary="Take a tenant's limits away",
        failures=(InvalidRequest,),
    ),
    ("get", "/admin/users"): Route(
        tag=TAG,
        name="listUsers",
        summary="List the users that have limits",
        answers=admin.USERS_ANSWERS,
        failures=(InvalidRequest,),
    ),
    ("get", "/admin/users/{user_id}"): Route(
        tag=TAG,
        name="getUser",
        summary="Show a user's limits",
        answers=admin.USER_ANSWERS,
        failures=(InvalidRequest, ObjectNotFound),
    ),
    ("put", "/admin/users/{user_id}"): Route(
        tag=TAG,
        name="putUser",
        summary="Set a user's limits",
        requests=admin.PUT_LIMITS_REQUESTS,
        answers=admin.USER_ANSWERS,
    ),
    ("delete", "/admin/users/{user_id}"): Route(
        tag=TAG,
        name="deleteUser",
        summary="Take a user's limits away",
        failures=(InvalidRequest,),
    ),
}

RELOAD_ROUTES: dict[tuple[str, str], Route] = {
    ("post", "/admin/reload"): Route(
        tag=TAG,
        name="reload",
        summary="Read the configuration again",
        description="In all workers. A bad one is refused with every mistake, and the old one stays; requests under way"
        " go on as they began.",
        answers=admin.RELOAD_ANSWERS,
        failures=(InvalidRequest,),
    ),
}

ADMIN_ROUTES = KEY_ROUTES | LIMIT_ROUTES | RELOAD_ROUTES
