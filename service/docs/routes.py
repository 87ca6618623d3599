"""What no signature says about a route: its group and title, examples, events and errors.

A route without a row here is an error in a test, and then in `service.docs.openapi`.
"""

from service.docs.admin_routes import ADMIN_ROUTES
from service.docs.inference_routes import INFERENCE_ROUTES
from service.docs.operating_routes import DOCUMENTATION_ROUTES, OPERATING_ROUTES
from service.docs.route import Route
from service.docs.stream_routes import STREAM_ROUTES
from service.docs.usage_routes import USAGE_ROUTES

TAGS = {
    "OpenAI": "For OpenAI's SDKs and whatever speaks like them. Every route works in front of every provider"
    " that offers the operation, Anthropic's too.",
    "Anthropic": "For Anthropic's SDKs, in front of every provider. Errors have Anthropic's shape.",
    "Simple": "For apps without an SDK: one message in, one answer out.",
    "Streams": "Every streamed answer can be read again, from any event on and by several at once, while it runs and for"
    " `streams.keep_seconds` after its end, with the key that asked for it.",
    "Usage": "What requests used and cost, from the ledger: one row for every request that reached a provider. As JSON,"
    " or as CSV for `Accept: text/csv`.",
    "Administration": "For whoever hands out keys. Every route needs the admin key, or a key with the scope `admin`,"
    " on an open server too.",
    "Operating": "For whoever runs the server. No route here asks a provider anything.",
    "Documentation": "This document, and the page that shows it.",
}

ROUTES: dict[tuple[str, str], Route] = {
    **INFERENCE_ROUTES,
    **STREAM_ROUTES,
    **USAGE_ROUTES,
    **ADMIN_ROUTES,
    **OPERATING_ROUTES,
    **DOCUMENTATION_ROUTES,
}
"""By method and path, in the order in which the document has them."""
