"""The inference routes: HTTP on one side, one use case on the other."""

from functools import partial

from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody

from service.chat import call as surfaces
from service.chat import documentation as doc
from service.chat.call import Body, Call, Surface
from service.chat.service import ChatService
from service.chat.tokens import estimate_input_tokens
from service.errors import InvalidRequest, ModelNotFound
from service.http.access import owner_of
from service.http.replies import GatewayReply, StreamedReply, WholeReply
from service.http.request import GatewayRequest
from service.principal import Principal, Scope
from service.streams.ports import OnDisconnect
from service.wire.anthropic import CountTokensRequest, MessagesRequest
from service.wire.openai import (
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingRequest,
    ModelCard,
    ModelList,
)

ON_DISCONNECT_HEADER = b"x-penstock-on-disconnect"


class InferenceController(Controller):
    """OpenAI's and Anthropic's routes."""

    path = "/v1"

    @post("/chat/completions", status_code=200, responses=doc.CHAT, access=Scope.CHAT)
    async def chat_completions(
        self, request: GatewayRequest, data: JSONBody[ChatCompletionRequest]
    ) -> GatewayReply:
        """Answer a conversation, whole or as a stream (OpenAI's Chat Completions)."""
        return await reply_to(request, surfaces.CHAT, data, stream=bool(data.stream))

    @post("/completions", status_code=200, responses=doc.COMPLETIONS, access=Scope.CHAT)
    async def completions(self, request: GatewayRequest, data: JSONBody[CompletionRequest]) -> GatewayReply:
        """Continue a text, whole or as a stream (OpenAI's legacy Completions)."""
        return await reply_to(request, surfaces.COMPLETIONS, data, stream=bool(data.stream))

    @post("/embeddings", status_code=200, responses=doc.EMBEDDINGS, access=Scope.EMBEDDINGS)
    async def embeddings(self, request: GatewayRequest, data: JSONBody[EmbeddingRequest]) -> GatewayReply:
        """Turn texts into vectors (OpenAI's Embeddings)."""
        return await reply_to(request, surfaces.EMBEDDINGS, data, stream=False)

    @post("/messages", status_code=200, responses=doc.MESSAGES, access=Scope.CHAT)
    async def messages(self, request: GatewayRequest, data: JSONBody[MessagesRequest]) -> GatewayReply:
        """Answer a conversation, whole or as a stream (Anthropic's Messages)."""
        return await reply_to(request, surfaces.MESSAGES, data, stream=bool(data.stream))

    @post("/messages/count_tokens", status_code=200, responses=doc.COUNT_TOKENS, access=Scope.CHAT)
    async def count_tokens(self, request: GatewayRequest, data: JSONBody[CountTokensRequest]) -> GatewayReply:
        """Count a conversation's input tokens: an Anthropic provider's own figure, else an estimate, marked."""
        service = chat_service(request)
        if service.counts_tokens(data.model):
            return await reply_to(request, surfaces.COUNT_TOKENS, data, stream=False)
        await service.admit(make_call(request, surfaces.COUNT_TOKENS, data, stream=False))
        return WholeReply(request.context, estimate_input_tokens(request.members), [])


class ModelsController(Controller):
    """Which models there are."""

    path = "/v1/models"

    @get("/", responses=doc.MODELS)
    async def models(self, request: GatewayRequest) -> ModelList:
        """The models that requests may name."""
        cards, caller = chat_service(request).catalog.cards(), request.context.principal
        return ModelList(data=[_card(card.id, card.owned_by) for card in cards if _shown(card.id, caller)])

    @get("/{model_id:path}", responses=doc.MODEL)
    async def model(self, request: GatewayRequest, model_id: FromPath[str]) -> ModelCard:
        """One model; its id may contain slashes."""
        name = model_id.removeprefix("/")
        service = chat_service(request)
        service.catalog.find(name)
        if not _shown(name, request.context.principal):
            raise ModelNotFound(f"The model {name[:200]!r} is none that this key may use.", param="model")
        owners = {card.id: card.owned_by for card in service.catalog.cards()}
        return _card(name, owners.get(name, name.partition("/")[0]))


def on_disconnect(request: GatewayRequest) -> OnDisconnect | None:
    """What the caller wishes for when nobody reads its stream any more; None where it says nothing. Raises InvalidRequest."""
    for name, value in request.scope["headers"]:
        if name == ON_DISCONNECT_HEADER:
            try:
                return OnDisconnect(value.decode("latin-1").strip().lower())
            except ValueError:
                choices = ", ".join(OnDisconnect)
                raise InvalidRequest(
                    f"X-Penstock-On-Disconnect: one of {choices}.", param="X-Penstock-On-Disconnect"
                ) from None
    return None


def _shown(name: str, caller: Principal) -> bool:
    return caller.may_use_model(name)


def chat_service(request: GatewayRequest) -> ChatService:
    """The use case, as `lifespan` opened it."""
    service: ChatService = request.app.state.services.chat
    return service


async def reply_to(request: GatewayRequest, surface: Surface, data: Body, *, stream: bool) -> GatewayReply:
    """Answer a call of one of the two dialects."""
    service, context = chat_service(request), request.context
    call = make_call(request, surface, data, stream=stream)
    if stream:
        context.facts.stream = True
        return StreamedReply(context, service.heartbeat_seconds, partial(service.stream, call))
    reply = await service.answer(call)
    return WholeReply(context, reply.body, reply.headers)


def make_call(
    request: GatewayRequest, surface: Surface, data: Body, *, stream: bool, route: str | None = None
) -> Call:
    """The request as the use case wants it. route: the path that was called, where it isn't the surface's own."""
    context = request.context
    return Call(
        surface=surface,
        route=route or surface.route,
        model=data.model,
        request=data,
        members=request.members,
        stream=stream,
        principal=context.principal,
        passed_on=context.passed_on,
        facts=context.facts,
        extra_headers=context.extra_headers,
        owner=owner_of(request.app.state.services.gatekeeper, context.principal) if stream else "",
        on_disconnect=on_disconnect(request) if stream else None,
    )


def _card(name: str, owned_by: str) -> ModelCard:
    return ModelCard(id=name, owned_by=owned_by, created=0)
