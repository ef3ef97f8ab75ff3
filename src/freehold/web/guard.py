"""What stands before every page: only this machine asks, only this page changes anything.

A page on another site could make the browser send requests here. Three things stop it: the `Host` must be
a loopback name with this port (a foreign name that was rebound to 127.0.0.1 is refused), a request that
changes state must come from this origin, and it carries the token of its session (`sessions.py`).

What is not covered: other users of the same machine, who can open the address as you can.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
MOST_BYTES = 1_000_000
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_READING = frozenset({"GET", "HEAD"})
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses what does not come from a page of this server, and adds the headers of every answer."""

    def __init__(self, app: ASGIApp, *, port: int) -> None:
        self._app = app
        self._hosts = frozenset(f"{name}:{port}" for name in _LOOPBACK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        refusal = self._refusal(str(scope["method"]), Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, send_guarded)
            return
        status, reason = refusal
        await PlainTextResponse(f"{reason}\n", status)(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "").casefold()
        if host not in self._hosts:
            return 421, "this address answers to 127.0.0.1 and localhost only"
        if method in _READING:
            return None
        if urlsplit(headers.get("origin", "")).netloc.casefold() != host:
            return 403, "a change must come from the page itself"
        length = headers.get("content-length", "")
        if not length.isdigit():
            return 411, "the length of the request is not said"
        return (413, "the request is too large") if int(length) > MOST_BYTES else None


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in _HEADERS.items():
        headers[name] = value
