"""An answer that was kept, given again."""

from service.http.context import Receive, RequestContext, Scope, Send
from service.http.replies import GatewayReply
from service.idempotency.record import Answer

REPLAYED = (b"idempotent-replayed", b"true")


class ReplayedReply(GatewayReply):
    """Status, headers and body as they were; the request's id and CORS are the new request's own."""

    __slots__ = ("_answer", "_context")

    def __init__(self, context: RequestContext, answer: Answer) -> None:
        self._context = context
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        context, answer = self._context, self._answer
        context.facts.outcome = "replayed"
        await context.send(context.start_message(answer.status, answer.headers))
        await context.send({"type": "http.response.body", "body": answer.body, "more_body": False})
