"""The page of docs/browser in a real browser, which reads streams by its own EventSource."""

import re

import pytest

from tests.browser.conftest import PAGES
from tests.browser.events import EVENTS, SAID, Caller
from tests.browser.network import Network
from tests.browser.webdriver import Chromium
from tests.fakes.behaviours import Answer
from tests.fakes.faults import ErrorEvent
from tests.fakes.gate import Gate
from tests.fakes.provider import FakeProvider

HAS_WORDS = "return document.querySelector('#text').textContent.includes(arguments[0])"
IS_STATE = "return document.querySelector('#answer').dataset.state === arguments[0]"


@pytest.fixture
def browser(chromium: Chromium, page: str, caller: Caller, network: Network) -> Chromium:
    """At the page, its form filled in; the gateway is behind the network."""
    chromium.open(f"{page}/")
    chromium.fill("#gateway", network.origin)
    chromium.fill("#model", "m")
    chromium.fill("#key", caller.key)
    return chromium


def stream_id_at(browser: Chromium) -> str:
    """The stream's, as the page shows it with the last event's."""
    found = re.search(r"last id (\S+)-\d+$", browser.text("#facts"))
    assert found is not None, browser.text("#facts")
    return found[1]


def test_a_network_that_is_cut_twice_costs_nothing(
    browser: Chromium, caller: Caller, network: Network, up: FakeProvider
) -> None:
    """What came while nobody was there is read later; nothing is lost, nothing is there twice."""
    gate = Gate()
    up.script(Answer(said=SAID, gate=gate))
    gate.release(8)
    browser.click("#start")
    for seen, missed in (("Grüße2", "Grüße6"), ("Grüße9", "Grüße13")):
        browser.wait(HAS_WORDS, seen)
        browser.wait(IS_STATE, "live")
        network.fail()
        browser.wait(IS_STATE, "reconnecting")
        gate.release(8)
        assert missed not in browser.text("#text")
        network.recover()
        browser.wait(HAS_WORDS, missed)
        gate.release(6)
    gate.open()
    browser.wait(IS_STATE, "done")
    assert browser.text("#text") == caller.whole(stream_id_at(browser)).text == SAID.text
    assert browser.text("#facts").startswith(f"{EVENTS} events · 2 cuts · ")
    assert len(up.requests) == 1


def test_a_browser_stops_at_the_end_by_itself(
    browser: Chromium, caller: Caller, network: Network, up: FakeProvider
) -> None:
    """Of a page that never closes its source the gateway gets rid by 204: one reconnect, then no more."""
    up.script(Answer(said=SAID))
    started = caller.start(network.origin)
    browser.run(
        "window.ids = []; window.source = new EventSource(arguments[0]);"
        "source.onmessage = (event) => ids.push(event.lastEventId)",
        started["url"],
    )
    browser.wait("return source.readyState === EventSource.CLOSED")
    assert browser.run("return ids") == [f"{started['id']}-{number}" for number in range(EVENTS)]
    lines = caller.gateway.wait_lines(2, path=f"/v1/streams/{started['id']}", method="GET")
    assert [line["status"] for line in lines] == [200, 204]


def test_an_error_in_the_middle_is_shown(browser: Chromium, caller: Caller, up: FakeProvider) -> None:
    """The text before it stays."""
    up.script(ErrorEvent(after=4, said=SAID))
    browser.click("#start")
    browser.wait(IS_STATE, "failed")
    whole = caller.whole(stream_id_at(browser))
    assert browser.text("#error") == whole.error != ""
    assert browser.text("#text") == whole.text != ""


def test_an_error_before_the_first_event_is_shown(browser: Chromium) -> None:
    """It answers the POST."""
    browser.fill("#model", "nobody-has-this")
    browser.click("#start")
    browser.wait(IS_STATE, "failed")
    assert "nobody-has-this" in browser.text("#error")


def test_a_stream_is_stopped_from_the_page(browser: Chromium, up: FakeProvider) -> None:
    """Its provider's connection closes, and the page learns it as any viewer does."""
    gate = Gate()
    up.script(Answer(said=SAID, gate=gate))
    gate.release(8)
    browser.click("#start")
    browser.wait(HAS_WORDS, "Grüße2")
    browser.click("#stop")
    browser.wait(IS_STATE, "failed")
    assert up.wait_closed(0)
    assert "cancel" in browser.text("#error").lower()


def test_another_origin_may_not_read(browser: Chromium, page: str, network: Network, caller: Caller) -> None:
    """The same page by another name is of an origin that `server.cors_allow_origins` doesn't list."""
    browser.open(page.replace("127.0.0.1", "localhost") + "/")
    browser.fill("#gateway", network.origin)
    browser.fill("#key", caller.key)
    browser.click("#start")
    browser.wait(IS_STATE, "failed")
    assert browser.text("#error") == "Failed to fetch"


def test_the_documentation_shows_what_the_page_does() -> None:
    """Each JavaScript block of docs/browser.md is in the page, word for word."""
    blocks = re.findall(r"```js\n(.*?)```", PAGES.with_suffix(".md").read_text(), re.DOTALL)
    source = (PAGES / "index.html").read_text()
    assert blocks
    assert [block for block in blocks if block not in source] == []
