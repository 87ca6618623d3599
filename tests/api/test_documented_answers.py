"""What the application answers, held against its own document."""

from typing import Any

import httpx
import msgspec
import pytest

from tests.api.document import (
    Json,
    event_schema,
    events,
    filled,
    mistakes,
    operations,
    resolve,
    success,
)


async def test_every_documented_request_gets_the_documented_answer(
    client: httpx.AsyncClient, document: Json, key_id: str, stream_id: str
) -> None:
    """Each example is sent; the answer's status, type, body and events fit what the document says."""
    for method, path, operation in operations(document):
        if "requestBody" not in operation:
            continue
        (request,) = operation["requestBody"]["content"].values()
        status, documented = success(operation)
        for name, example in request["examples"].items():
            answer = await client.request(
                method, filled(path, key_id, stream_id), json=_quick(example["value"])
            )
            assert str(answer.status_code) == status, (path, name, answer.text)
            kind = answer.headers["content-type"].partition(";")[0]
            body = documented["content"][kind]
            if kind == "text/event-stream":
                for event in map(msgspec.json.decode, events(answer.text)):
                    assert mistakes(document, event_schema(body), event) == [], (path, name)
            else:
                assert mistakes(document, body["schema"], answer.json()) == [], (path, name)


def _quick(body: Json) -> Json:
    """The same without the simulated model's pauses."""
    return body | {"model": "sim"} if "model" in body else body


async def test_every_get_answers_as_documented(
    client: httpx.AsyncClient, document: Json, key_id: str, stream_id: str
) -> None:
    """In each of its media types."""
    for method, path, operation in operations(document):
        if method == "get":
            for name, body in success(operation)[1]["content"].items():
                answer = await client.get(filled(path, key_id, stream_id), headers={"Accept": name})
                assert answer.status_code == 200, (path, answer.text)
                assert answer.headers["content-type"].partition(";")[0] == name.partition(";")[0]
                value = answer.json() if name == "application/json" else answer.text
                assert mistakes(document, body["schema"], value) == [], path


@pytest.mark.parametrize(
    ("path", "open_to_strangers"),
    [
        pytest.param("/readyz?verbose", True, id="checks-of-an-open-server"),
        pytest.param("/health", True, id="health-of-an-open-server"),
        pytest.param("/metrics.json", True, id="sums-of-an-open-server"),
        pytest.param("/admin/usage", False, id="what-all-used"),
    ],
)
async def test_strangers_get_what_the_document_says(
    stranger: httpx.AsyncClient, document: Json, path: str, open_to_strangers: bool
) -> None:
    """`{}` among the ways to come in: an open server asks for no key."""
    operation = document["paths"][path.partition("?")[0]]["get"]
    answer = await stranger.get(path)
    assert ({} in operation["security"]) is open_to_strangers
    assert answer.status_code == (200 if open_to_strangers else 403)
    if open_to_strangers:
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert mistakes(document, schema, answer.json()) == []


async def test_health_shows_the_documented_brief_where_a_key_is_needed(
    client: httpx.AsyncClient, document: Json, key_id: str
) -> None:
    """From the first key on, which nobody sent here."""
    assert key_id
    answer = await client.get("/health", headers={"Authorization": "Bearer none"})
    assert list(answer.json()) == ["status", "version"]
    schema = document["paths"]["/health"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert mistakes(document, schema, answer.json()) == []


async def test_a_key_is_revoked_without_a_body(
    client: httpx.AsyncClient, document: Json, key_id: str
) -> None:
    """204, as the document says."""
    status, _ = success(document["paths"]["/admin/keys/{key_id}"]["delete"])
    answer = await client.delete(f"/admin/keys/{key_id}")
    assert (str(answer.status_code), answer.content) == (status, b"")


async def test_documented_headers_are_sent(stranger: httpx.AsyncClient, document: Json) -> None:
    """Those of a limited answer that asked the simulated model, which drops nothing and has no ids."""
    answer = await stranger.post("/chat", json={"message": "Hello!"})
    documented = document["paths"]["/chat"]["post"]["responses"]["200"]["headers"].keys()
    assert documented - {name for name in documented if name in answer.headers} == {
        "X-Penstock-Dropped",
        "X-Penstock-Upstream-Request-ID",
    }


@pytest.mark.parametrize(
    ("request_args", "status"),
    [
        pytest.param({"method": "DELETE", "url": "/chat"}, "405", id="another-method"),
        pytest.param({"method": "POST", "url": "/chat", "content": "{"}, "415", id="no-content-type"),
        pytest.param({"method": "POST", "url": "/v1/messages", "json": {}}, "400", id="an-empty-message"),
        pytest.param({"method": "GET", "url": "/v1/models/none/such"}, "404", id="no-such-model"),
        pytest.param({"method": "GET", "url": "/admin/usage?limit=none"}, "400", id="a-wrong-parameter"),
        pytest.param(
            {"method": "GET", "url": "/livez", "headers": {"Host": "evil.example"}}, "403", id="rebound"
        ),
        pytest.param(
            {"method": "GET", "url": "/livez", "headers": {"X": "x" * 40_000}}, "431", id="long-headers"
        ),
    ],
)
async def test_errors_are_as_documented(
    client: httpx.AsyncClient, document: Json, request_args: dict[str, Any], status: str
) -> None:
    answer = await client.request(**request_args)
    path = (
        "/v1/models/{model_id}"
        if "/models/" in request_args["url"]
        else request_args["url"].partition("?")[0]
    )
    (operation,) = document["paths"][path].values()
    response = resolve(document, operation["responses"][status])
    assert str(answer.status_code) == status
    assert answer.headers["content-type"] == "application/problem+json"
    schema = response["content"]["application/problem+json"]["schema"]
    assert mistakes(document, schema, answer.json()) == []
    assert all(name in answer.headers for name in response["headers"])


@pytest.mark.parametrize(
    ("key", "status"),
    [
        pytest.param(None, "401", id="no-key"),
        pytest.param("psk_nothing", "401", id="a-malformed-key"),
    ],
)
async def test_a_missing_key_is_answered_as_documented(
    client: httpx.AsyncClient,
    document: Json,
    key_id: str,
    stream_id: str,
    key: str | None,
    status: str,
) -> None:
    """On every route that asks for one; the others answer."""
    assert key_id
    headers = {} if key is None else {"x-api-key": key}
    del client.headers["Authorization"]
    for method, path, operation in operations(document):
        answer = await client.request(method, filled(path, key_id, stream_id), headers=headers)
        if operation["security"] and status in operation["responses"] and path != "/readyz":
            assert str(answer.status_code) == status, path
            response = resolve(document, operation["responses"][status])
            schema = response["content"]["application/problem+json"]["schema"]
            assert mistakes(document, schema, answer.json()) == []
            assert answer.headers["www-authenticate"] == "Bearer"
        else:
            assert answer.status_code == 200, path
