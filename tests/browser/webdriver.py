"""A headless Chromium, spoken to by way of its driver: https://www.w3.org/TR/webdriver2/ over plain HTTP.

with Chromium(directory) as browser:
    browser.open("http://127.0.0.1:8080/")
    browser.run("return document.title")
"""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from tests.e2e.gateway import NO_TLS, clean_environment, eventually, free_port

FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1000,900",
)
START_SECONDS: Final = 60.0
"""A cold start on two busy cores."""

_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
"""The name that the standard gives to an element's reference."""

MISSING: Final = (
    "tests/browser needs {0}, which is not on PATH. As root on Debian: apt-get install chromium chromium-driver;"
    " `just check` does that by itself. `just test` alone leaves these tests out."
)


class Chromium:
    """One browser with one window and a profile of its own. directory: for the profile and the driver's log."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._driver: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(trust_env=False, verify=NO_TLS, timeout=START_SECONDS)
        self._session = ""

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self._post("/url", {"url": url})

    def run(self, script: str, *arguments: object) -> object:
        """What a function with this body returns in the page."""
        return self._post("/execute/sync", {"script": script, "args": arguments})

    def fill(self, selector: str, text: str) -> None:
        """Put `text` into a field in place of what is there."""
        field = self._element(selector)
        self._post(f"{field}/clear", {})
        self._post(f"{field}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click on an element."""
        self._post(f"{self._element(selector)}/click", {})

    def text(self, selector: str) -> str:
        """An element's text, shown or not."""
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def wait(self, script: str, *arguments: object, seconds: float = 20.0) -> object:
        """What the script returns, once that is neither null nor false. Raises AssertionError."""
        return eventually(lambda: self.run(script, *arguments) or None, seconds)

    def __enter__(self) -> Self:
        driver, browser = _program("chromedriver"), _program("chromium")
        port = free_port()
        with (self._directory / "driver.log").open("wb") as log:
            self._driver = subprocess.Popen(
                [driver, f"--port={port}"],
                env=clean_environment({"HOME": str(self._directory)}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._http.base_url = httpx.URL(f"http://127.0.0.1:{port}")
            eventually(self._is_ready, START_SECONDS)
            self._session = self._new_session(browser)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with contextlib.suppress(httpx.HTTPError):
                self._http.delete(self._session)
        finally:
            self._end()

    def _new_session(self, browser: str) -> str:
        options = {"binary": browser, "args": [*FLAGS, f"--user-data-dir={self._directory / 'profile'}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        value = self._value(self._http.post("/session", json={"capabilities": {"alwaysMatch": wanted}}))
        assert isinstance(value, dict)
        return f"/session/{value['sessionId']}"

    def _is_ready(self) -> bool | None:
        assert self._driver is not None
        assert self._driver.poll() is None, (self._directory / "driver.log").read_text()
        try:
            return self._http.get("/status").json()["value"]["ready"] or None
        except httpx.TransportError:
            return None

    def _element(self, selector: str) -> str:
        found = self._post("/element", {"using": "css selector", "value": selector})
        assert isinstance(found, dict)
        return f"/element/{found[_ELEMENT]}"

    def _post(self, path: str, body: dict[str, object]) -> object:
        return self._value(self._http.post(f"{self._session}{path}", json=body))

    def _value(self, answer: httpx.Response) -> object:
        value: object = answer.json()["value"]
        assert answer.is_success, value
        return value

    def _end(self) -> None:
        self._http.close()
        if self._driver is not None:
            # Its session is its own, so this takes along what the driver left behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._driver.pid, signal.SIGKILL)
            self._driver.wait()


def _program(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, MISSING.format(name)
    return path
