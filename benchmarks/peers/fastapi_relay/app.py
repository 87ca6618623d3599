"""The relay that tutorials teach: FastAPI in front, one httpx client for all requests behind.

A peer to measure against, so it is made as well as that can be: the client is shared and keeps its
connections, bodies pass as they are, streams are closed when the reader leaves. It runs in an
environment of its own (`requirements.txt`) and imports nothing of this project:

    UPSTREAM_URL=http://127.0.0.1:9000/v1 python -m uvicorn --app-dir benchmarks/peers/fastapi_relay app:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

_HEADERS = {"Authorization": f"Bearer {os.environ.get('UPSTREAM_API_KEY', 'bench')}"}
# httpx takes at most 100 connections unless told otherwise; more streams than that would wait in line.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=1024)
_TIMEOUT = httpx.Timeout(600, connect=5)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client while the application runs."""
    upstream = os.environ["UPSTREAM_URL"]
    async with httpx.AsyncClient(
        base_url=upstream, headers=_HEADERS, limits=_LIMITS, timeout=_TIMEOUT
    ) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/livez")
async def livez() -> dict[str, str]:
    """Ready as soon as it answers."""
    return {"status": "ok"}


@app.post("/v1/chat/completions")
async def chat_completions(request: Request) -> Response:
    """Pass a chat completion on; a streamed one as it comes."""
    client: httpx.AsyncClient = request.app.state.client
    asked: dict[str, object] = await request.json()
    onward = client.build_request(
        "POST",
        "/chat/completions",
        content=await request.body(),
        headers={"Content-Type": "application/json"},
    )
    try:
        answer = await client.send(onward, stream=bool(asked.get("stream")))
    except httpx.TransportError as error:
        raise HTTPException(502, "The provider can't be reached.") from error
    content_type = answer.headers.get("content-type")
    if asked.get("stream"):
        return StreamingResponse(_pieces(answer), answer.status_code, media_type=content_type)
    return Response(answer.content, answer.status_code, media_type=content_type)


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()
