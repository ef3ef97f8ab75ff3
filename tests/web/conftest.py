"""Pages for the page tests, in the browser that all rooms share; loopback only."""

from __future__ import annotations

from collections.abc import Callable, Generator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

EXPECTED = ("status of 422", "ERR_CONNECTION_REFUSED")
"""What a browser writes to its console of an answer that was refused, and of a server that has stopped."""
LOOPBACK = {"127.0.0.1", "localhost"}


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Generator[OpenPage]:
    """Open an address in a context of its own. Requests that leave the machine are blocked, and none may be tried.

    Errors of scripts and of the content security policy fail the test as well.
    """
    contexts: list[BrowserContext] = []
    outside: list[str] = []
    faults: list[str] = []

    def open_one(address: str, **options: object) -> Page:
        context = browser.new_context(**options)  # pyright: ignore[reportArgumentType]
        contexts.append(context)
        context.set_default_timeout(10_000)

        def check(route: Route) -> None:
            if urlsplit(route.request.url).hostname in LOOPBACK:
                route.continue_()
            else:
                outside.append(route.request.url)
                route.abort()

        context.route("**/*", check)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda message: faults.append(message.text) if message.type == "error" else None,
        )
        page.goto(address)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert outside == [], "the page asked for something outside this machine"
    assert [fault for fault in faults if not any(known in fault for known in EXPECTED)] == []
