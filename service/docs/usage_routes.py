"""The routes that say what was used."""

from service.docs import usage_examples as usage
from service.docs.route import Route
from service.errors import InvalidRequest

USAGE_ROUTES: dict[tuple[str, str], Route] = {
    ("get", "/v1/usage"): Route(
        tag="Usage",
        name="getUsage",
        summary="Sum up what your key used",
        description="`cost_usd` is exact, to the nano-dollar.",
        answers=usage.USAGE_ANSWERS,
        csv=usage.USAGE_CSV,
        failures=(InvalidRequest,),
    ),
    ("get", "/admin/usage"): Route(
        tag="Usage",
        name="getAllUsage",
        summary="Sum up what everybody used",
        description="`cost_usd` is exact, to the nano-dollar.",
        answers=usage.USAGE_ANSWERS,
        csv=usage.USAGE_CSV,
        failures=(InvalidRequest,),
    ),
    ("get", "/admin/ledger"): Route(
        tag="Usage",
        name="listLedgerRows",
        summary="List the requests",
        description="A row can be read two seconds after its request ended at the latest. What is `estimated` was"
        " counted here, because the provider told no usage.",
        answers=usage.LEDGER_ANSWERS,
        csv=usage.LEDGER_CSV,
        failures=(InvalidRequest,),
    ),
}
