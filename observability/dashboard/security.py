"""Who may look and who may act: host names, the token, sessions, forged requests, what a page may load."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""On every answer. No page loads anything from elsewhere, runs a script of its own text, or is framed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a reader may do. csrf: to be sent with every action; empty without a session."""

    signed_in: bool = False
    may_sign_in: bool = False
    csrf: str = ""


class Access:
    """Decides what a request may do. token: None means that nobody may act."""

    def __init__(self, token: str | None = None) -> None:
        self._token = token

    def session(self, request: Request) -> Session:
        """Return what the reader behind a request may do."""
        return Session()


class SafeHeaders:
    """Puts `HEADERS` on every answer; pages and data are never kept by a cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # A stored report has a stricter policy of its own, and keeps it.
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)
