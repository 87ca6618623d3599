"""The simple routes: `/chat`, `/stream` and `/chat/batch`, for apps without an SDK."""

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic

import msgspec
from litestar import Controller, post
from litestar.params import JSONBody

from service import problems
from service.chat import call as surfaces
from service.chat import documentation as doc
from service.chat import simple
from service.chat.call import Call
from service.chat.controllers import chat_service, on_disconnect
from service.errors import GatewayError, ProviderFailed
from service.http.access import owner_of
from service.http.context import Headers
from service.http.replies import GatewayReply, StreamedReply, WholeReply
from service.http.request import GatewayRequest, invalid_field
from service.pricing.arithmetic import Usage, usd
from service.principal import Scope
from service.problems import Problem
from service.telemetry.facts import Facts
from service.wire import strict
from service.wire.simple import BatchRequest, SimpleAnswer, SimpleRequest


class BatchAnswer(msgspec.Struct, frozen=True):
    """The answer of `/chat/batch`: an answer or a problem for each item, in the items' order."""

    items: list[SimpleAnswer | Problem]


_ITEM = msgspec.json.Decoder(SimpleRequest)


class SimpleController(Controller):
    """One message in, one answer out."""

    path = "/"

    @post("/chat", status_code=200, responses=doc.SIMPLE, access=Scope.CHAT)
    async def chat(self, request: GatewayRequest, data: JSONBody[SimpleRequest]) -> GatewayReply:
        """Answer one message."""
        context = request.context
        answer, headers = await _answer(request, data, "/chat", context.facts, context.extra_headers)
        return WholeReply(request.context, msgspec.json.encode(answer), headers)

    @post("/stream", status_code=200, responses=doc.SIMPLE_STREAM, access=Scope.CHAT)
    async def stream(self, request: GatewayRequest, data: JSONBody[SimpleRequest]) -> GatewayReply:
        """Answer one message token by token, as server-sent events."""
        service, context = chat_service(request), request.context
        context.facts.stream = True
        call = _call(request, data, "/stream", context.facts, context.extra_headers, stream=True)
        return StreamedReply(context, service.heartbeat_seconds, partial(service.stream, call))

    @post("/chat/batch", status_code=200, responses=doc.BATCH, access=Scope.CHAT)
    async def batch(self, request: GatewayRequest, data: JSONBody[BatchRequest]) -> GatewayReply:
        """Answer up to 100 messages at once; each item has its own answer or problem, in order."""
        facts = request.context.facts
        each = [msgspec.structs.replace(facts) for _ in data.items]
        request.context.parts = tuple(each)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_answer_item(request, item, own))
                for item, own in zip(data.items, each, strict=True)
            ]
        _sum_up(facts, each)
        answer = BatchAnswer([task.result() for task in tasks])
        return WholeReply(request.context, msgspec.json.encode(answer), [])


async def _answer_item(request: GatewayRequest, item: msgspec.Raw, facts: Facts) -> SimpleAnswer | Problem:
    try:
        # An item's own limits stand in no header: the batch has one head for all of them.
        answer, _ = await _answer(request, _read_item(item), "/chat/batch", facts, [])
    except GatewayError as error:
        return problems.describe(error, path=facts.path, request_id=facts.request_id)
    return answer


def _read_item(item: msgspec.Raw) -> SimpleRequest:
    strict.members(bytes(item))
    try:
        return _ITEM.decode(item)
    except msgspec.ValidationError as error:
        raise invalid_field(str(error)) from None


async def _answer(
    request: GatewayRequest, data: SimpleRequest, route: str, facts: Facts, extra_headers: Headers
) -> tuple[SimpleAnswer, Headers]:
    call = _call(request, data, route, facts, extra_headers, stream=False)
    reply = await chat_service(request).answer(call)
    cost_usd = None if facts.cost_nano_usd is None else usd(facts.cost_nano_usd)
    try:
        answer = simple.to_answer(reply.body, cost_usd=cost_usd, latency_ms=_latency_ms(facts)())
    except msgspec.MsgspecError:
        raise ProviderFailed("The provider's answer is not a chat completion.") from None
    return answer, reply.headers


def _call(
    request: GatewayRequest,
    data: SimpleRequest,
    route: str,
    facts: Facts,
    extra_headers: Headers,
    *,
    stream: bool,
) -> Call:
    model = data.model or chat_service(request).catalog.default()
    body, members = simple.to_chat(data, model, stream=stream)
    latency_ms = _latency_ms(facts)
    return Call(
        surface=surfaces.CHAT,
        route=route,
        model=model,
        request=body,
        members=members,
        stream=stream,
        principal=request.context.principal,
        passed_on=request.context.passed_on,
        facts=facts,
        extra_headers=extra_headers,
        owner=owner_of(request.app.state.services.gatekeeper, request.context.principal) if stream else "",
        on_disconnect=on_disconnect(request) if stream else None,
        last_stage=lambda cost_usd: simple.ChunksToTokens(cost_usd, latency_ms),
    )


def _latency_ms(facts: Facts) -> Callable[[], int]:
    return lambda: round((monotonic() - facts.started_at) * 1000)


def _sum_up(facts: Facts, each: list[Facts]) -> None:
    """The batch's own record: what its items took together."""
    facts.attempts = sum(one.attempts for one in each)
    facts.model = each[0].model
    facts.target = each[0].target
    found = [one.usage for one in each if one.usage is not None]
    facts.usage = Usage(
        input_tokens=sum(usage.input_tokens for usage in found),
        cached_input_tokens=sum(usage.cached_input_tokens for usage in found),
        cache_write_tokens=sum(usage.cache_write_tokens for usage in found),
        output_tokens=sum(usage.output_tokens for usage in found),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in found),
        hour_write_tokens=sum(usage.hour_write_tokens for usage in found),
    )
    facts.cost_nano_usd = sum(one.cost_nano_usd or 0 for one in each)
    facts.outcome = "complete"
