"""Browser sessions: a cookie that says who somebody is, and a token that a page must send back."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

MOST_SESSIONS = 200


@dataclass
class Session:
    """One browser: its secret name, the token of its pages, who sits before it, and what to tell them next."""

    key: str
    token: str
    person: str | None = None
    said: str = ""

    def hear(self) -> str:
        """Return what is to be told, once."""
        said, self.said = self.said, ""
        return said

    def may(self, token: str) -> bool:
        """Return whether a request carries the token of this session."""
        return hmac.compare_digest(self.token.encode(), token.encode("utf-8", "replace"))


class Sessions:
    """The sessions of one server, in memory: after a restart everybody says who they are again."""

    def __init__(self, *, cookie: str) -> None:
        self.cookie = cookie
        self._by_key: dict[str, Session] = {}

    def get(self, key: str | None) -> Session | None:
        """Return the session of a cookie."""
        return self._by_key.get(key or "")

    def begin(self, person: str | None = None) -> Session:
        """Begin a session; of very many the oldest is forgotten."""
        session = Session(secrets.token_urlsafe(24), secrets.token_urlsafe(24), person)
        self._by_key[session.key] = session
        if len(self._by_key) > MOST_SESSIONS:
            self._by_key.pop(next(iter(self._by_key)))
        return session
