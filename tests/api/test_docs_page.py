"""/docs and its parts, as the application serves them."""

import httpx
import pytest


async def test_the_page_may_load_from_here_only(client: httpx.AsyncClient) -> None:
    """The browser is told so, for the page and for each of its parts."""
    for path in ("/docs", "/docs/docs.js", "/docs/docs.css", "/docs/icon.svg"):
        answer = await client.get(path)
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == 200
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/docs/other.js", id="an-unknown-name"),
        pytest.param("/docs/..%2fcontroller.py", id="a-way-out"),
    ],
)
async def test_no_other_file_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_a_closing_slash_leads_to_the_page(client: httpx.AsyncClient) -> None:
    """Below it the page's relative links would lead nowhere."""
    answer = await client.get("/docs/")
    assert answer.status_code == 307
    assert answer.headers["location"] == "../docs"


@pytest.mark.parametrize(
    "path",
    [pytest.param("/_", id="its-page"), pytest.param("/_/openapi.json", id="its-document")],
)
async def test_the_framework_shows_nothing_of_its_own(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_a_closing_slash_changes_nothing_about_the_methods(client: httpx.AsyncClient) -> None:
    """Which a wrong method is answered with."""
    answer = await client.get("/v1/chat/completions/")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "OPTIONS, POST"
