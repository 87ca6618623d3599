"""Routes about what was used: a caller's own, and all of it for administrators."""

from typing import Annotated
from urllib.parse import urlencode

from litestar import Controller, Response, get
from msgspec.structs import replace

from service.documented import After, answer, parameter
from service.http.request import GatewayRequest
from service.principal import Scope
from service.usage import answers
from service.usage.answers import LedgerAnswer, UsageAnswer
from service.usage.asked import UsageAsked, rows_asked, usage_asked
from service.usage.negotiation import wants_csv
from service.usage.service import UsageService

CSV_TYPE = "text/csv"
"""The framework adds the character set."""

# Texts, read by `service.usage.asked`: what is wrong with one is then said as everywhere else.
From = Annotated[str | None, parameter("from", "From then on: a date (UTC), an ISO instant or Unix seconds.")]
To = Annotated[
    str | None, parameter("to", "Until then: a date (that day included), an ISO instant or Unix seconds.")
]
Group = Annotated[str | None, parameter("group_by", "`day` (UTC, the default), `model` or `key`.")]
Key = Annotated[str | None, parameter("key", "Only of the key with this id.")]
Tenant = Annotated[str | None, parameter("tenant", "Only of this tenant.")]
User = Annotated[str | None, parameter("user", "Only of this user.")]
ModelName = Annotated[str | None, parameter("model", "Only of the model with this name.")]
RequestId = Annotated[str | None, parameter("request_id", "Only of this `X-Request-ID`.")]
Outcome = Annotated[str | None, parameter("outcome", "Only those that ended in this way.")]
Limit = Annotated[str | None, parameter("limit", "How many at most, 1 to 1000.")]

USAGE = answer(UsageAnswer, "The groups in order, and their total; CSV for `Accept: text/csv`.")
LEDGER = answer(LedgerAnswer, "The rows, newest first; CSV for `Accept: text/csv`.")


class UsageController(Controller):
    """Summaries and rows of the ledger."""

    path = "/"

    @get("/v1/usage", responses=USAGE)
    async def own(
        self,
        request: GatewayRequest,
        since: From = None,
        until: To = None,
        group_by: Group = None,
        limit: Limit = None,
        after: After = None,
    ) -> Response[bytes]:
        """What the caller's own key used, by day, model or key."""
        asked = usage_asked(_given(request, "from", "to", "group_by", "limit", "after"))
        own = replace(asked.selection, key_id=request.context.principal.key_id)
        return await _usage(request, replace(asked, selection=own))

    @get("/admin/usage", responses=USAGE, access=Scope.ADMIN)
    async def all(
        self,
        request: GatewayRequest,
        since: From = None,
        until: To = None,
        group_by: Group = None,
        key: Key = None,
        tenant: Tenant = None,
        user: User = None,
        model: ModelName = None,
        limit: Limit = None,
        after: After = None,
    ) -> Response[bytes]:
        """What everybody used, by day, model or key."""
        names = ("from", "to", "group_by", "key", "tenant", "user", "model", "limit", "after")
        return await _usage(request, usage_asked(_given(request, *names)))

    @get("/admin/ledger", responses=LEDGER, access=Scope.ADMIN)
    async def ledger(
        self,
        request: GatewayRequest,
        since: From = None,
        until: To = None,
        key: Key = None,
        request_id: RequestId = None,
        outcome: Outcome = None,
        limit: Limit = None,
        after: After = None,
    ) -> Response[bytes]:
        """The requests themselves, newest first."""
        names = ("from", "to", "key", "request_id", "outcome", "limit", "after")
        answer = await _service(request).ledger(rows_asked(_given(request, *names)))
        if wants_csv(request.headers.get("accept", "")):
            return _respond(request, answers.ledger_csv(answer.data), CSV_TYPE, answer.next_cursor)
        return _respond(request, answers.JSON.encode(answer))


async def _usage(request: GatewayRequest, asked: UsageAsked) -> Response[bytes]:
    answer = await _service(request).usage(asked)
    if wants_csv(request.headers.get("accept", "")):
        body = answers.usage_csv(asked.group_by, answer.data)
        return _respond(request, body, CSV_TYPE, answer.next_cursor)
    return _respond(request, answers.JSON.encode(answer))


def _service(request: GatewayRequest) -> UsageService:
    found: UsageService = request.app.state.services.usage
    return found


def _given(request: GatewayRequest, *names: str) -> dict[str, str]:
    """The first of each parameter; others' are not this route's."""
    given = request.query_params
    return {name: given[name] for name in names if name in given}


def _respond(
    request: GatewayRequest, body: bytes, media_type: str = "application/json", cursor: str | None = None
) -> Response[bytes]:
    """cursor: of the next page, where the body has no place for it (RFC 8288)."""
    headers = {"Vary": "Accept", "Cache-Control": "no-store"}
    if cursor is not None:
        pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
        headers["Link"] = f'<?{urlencode([*pairs, ("after", cursor)])}>; rel="next"'
    return Response(body, media_type=media_type, headers=headers)
