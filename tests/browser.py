"""A real Chromium, and a watch on every request that its pages make."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from processes import WAIT_SECONDS

WAIT_MS = 1000 * WAIT_SECONDS
expect.set_options(timeout=WAIT_MS)

HERE = "127.0.0.1"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: What the console says of everything that a page may not do.
BLOCKED = "Content Security Policy"
#: Chromium's own calls home would be no page's fault, so it makes none.
OPTIONS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def program(environment: Mapping[str, str], which: Callable[[str], str | None] = shutil.which) -> str:
    """Path of the browser. A machine without one skips the test; CI fails, which must not pass by skipping."""
    if path := next((path for name in PROGRAMS if (path := which(name))), None):
        return path
    message = f"Chromium is not installed: none of {', '.join(PROGRAMS)} is on PATH. `make browser` installs it."
    if environment.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS, timeout=WAIT_MS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in a context of its own. At the end, every request of that context, also of its other pages, their
    frames, workers and sockets, must have gone to this machine, and the Content-Security-Policy must have blocked
    nothing."""
    urls: list[str] = []
    lines: list[str] = []
    context = browser.new_context(**options)
    context.set_default_timeout(WAIT_MS)
    context.on("request", lambda request: urls.append(request.url))
    context.on("console", lambda line: lines.append(line.text))
    context.on("page", lambda page: page.on("websocket", lambda socket: urls.append(socket.url)))
    try:
        yield context.new_page()
    finally:
        context.close()  # all requests up to now are reported before this returns
    blocked = [line[:300] for line in lines if BLOCKED in line]
    assert not blocked, f"A page of ours breaks our own policy: {blocked}"
    assert not outside(urls), f"A page asked an outside host: {', '.join(outside(urls))}"


def outside(urls: list[str]) -> list[str]:
    """The addresses that leave this machine; `data:`, `blob:` and the like do not."""
    parts = [(url, urlsplit(url)) for url in urls]
    return [url for url, part in parts if part.scheme in ("http", "https", "ws", "wss") and part.hostname != HERE]
