"""Who may look and who may act: host names, the token, sessions, forged requests, what a page may load."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, unquote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from observability.dashboard.sessions import LASTS_S, Attempts, Sessions, same
from observability.logs import get_logger
from orchestration.clock import SystemClock
from orchestration.ports import Clock

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # With no-referrer a browser would not say either which page an order comes from (Origin: null).
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""On every answer. No page loads anything from elsewhere, runs a script of its own text, or is framed."""

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
COOKIE: Final = "dashboard_session"
SAID: Final = "dashboard_said"
SAID_S: Final = 10
"""How long words wait for the page that shows them, which is fetched at once."""
LONGEST_SAID: Final = 1000
LONGEST_ADDRESS: Final = 2000
"""Of a path with its query: a page repeats its own in every form, and pages are kept for a moment."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
ALWAYS_OPEN: Final = ("/static/", "/login", "/logout", "/actions/")
"""What needs no session, or judges for itself, as it says better what is missing."""
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII | re.IGNORECASE)
"""A name or an address, and a port. Nothing else: what follows would be read as a part of the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a reader may do. csrf: to be sent with every action; empty without a session.

    said: level and words of what the last action did, for a reader without JavaScript.
    """

    signed_in: bool = False
    may_sign_in: bool = False
    csrf: str = ""
    said: tuple[str, str] | None = None


class Verdict(Enum):
    """Whether an order may be carried out. UNPROVED: it does not show that it comes from one of our pages."""

    ALLOWED = "allowed"
    SIGN_IN = "sign in first"
    UNPROVED = "unproved"


class Access:
    """Decides what a request may do.

    token: None means that nobody may act. names: what else than this box itself and the address listened on
    browsers may call it. is_open: who is on this box reads without a session; all others need one.
    """

    def __init__(
        self,
        token: str | None = None,
        *,
        names: Collection[str] = (),
        is_open: bool = True,
        clock: Clock | None = None,
    ) -> None:
        monotonic = (clock or SystemClock()).monotonic
        self._token, self._is_open = token, is_open
        self._names = LOCAL_NAMES | {name.lower().rstrip(".") for name in names}
        self._sessions = None if token is None else Sessions(token, monotonic)
        self._attempts = Attempts(monotonic)
        self._log = get_logger("dashboard")

    # --- what a request may do ----------------------------------------------------------------------------

    def session(self, request: Request) -> Session:
        """Return what the reader behind a request may do."""
        sessions = self._sessions
        if sessions is None:
            return Session()
        found = sessions.id_of(request.cookies.get(COOKIE, ""))
        return Session(
            signed_in=found is not None,
            may_sign_in=True,
            csrf="" if found is None else sessions.csrf(found),
            said=self._said(request, sessions),
        )

    def judge(self, request: Request, csrf: str) -> Verdict:
        """Say whether the order behind a request may be carried out. csrf: what came with it."""
        if came_with_token(request):
            return Verdict.ALLOWED
        session = self.session(request)
        if not session.signed_in:
            return Verdict.SIGN_IN
        return Verdict.ALLOWED if same(session.csrf, csrf) else Verdict.UNPROVED

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that goes no further, None for one that may.

        A right `Authorization: Bearer TOKEN` is noted on the request (`came_with_token`).
        """
        if len(request.scope["path"]) + len(request.scope["query_string"]) > LONGEST_ADDRESS:
            text = f"this address is too long: at most {LONGEST_ADDRESS} characters"
            return PlainTextResponse(text, status_code=414)
        host = host_of(request)
        here = str((request.scope.get("server") or ("", 0))[0])
        if host not in self._names and host != here:
            return _misdirected(host)
        if request.method not in SAFE_METHODS and not is_same_origin(request):
            return PlainTextResponse("refused: this order comes from another site", status_code=403)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            refusal = self.check_token(request, token.strip())
            if refusal is None:
                request.state.by_token = True
            return refusal
        is_local = self._is_open and (host in LOCAL_NAMES or host == here)
        if is_local or request.url.path.startswith(ALWAYS_OPEN) or self.session(request).signed_in:
            return None
        return _closed(request)

    def check_token(self, request: Request, token: str) -> Response | None:
        """Return the refusal of a wrong token, or of one too many; None for the right one."""
        address = address_of(request)
        wait_s = self._attempts.wait_s(address)
        if wait_s > 0:
            text = f"too many wrong tokens; try again in {math.ceil(wait_s)} s"
            return PlainTextResponse(text, 429, headers={"Retry-After": str(math.ceil(wait_s))})
        if self._token is not None and same(self._token, token):
            return None
        self._attempts.add(address)
        self._log.warning("token.refused", address=address, path=request.url.path)
        text = "this is not the token" if self._token else "no token is set: nobody may act here"
        return PlainTextResponse(text, 401, headers={"WWW-Authenticate": "Bearer"})

    # --- cookies ------------------------------------------------------------------------------------------

    def begin(self, request: Request, response: Response) -> None:
        """Let a session begin with this answer. Only after `check_token`."""
        if self._sessions is not None:
            _set_cookie(request, response, COOKIE, self._sessions.begin(), LASTS_S)
            self._log.info("session.begun", address=address_of(request))

    def end(self, request: Request, response: Response) -> None:
        """End the request's session."""
        if self._sessions is not None:
            self._sessions.end(request.cookies.get(COOKIE, ""))
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")

    def say(self, request: Request, response: Response, level: str, text: str) -> None:
        """Have the next page show `text`. level: as a notice's, `ok` or `fail`."""
        if self._sessions is not None:
            content = quote(f"{level}:{text[:LONGEST_SAID]}", safe=":")
            signature = self._sessions.sign("said", content)
            _set_cookie(request, response, SAID, f"{signature}.{content}", SAID_S)

    def _said(self, request: Request, sessions: Sessions) -> tuple[str, str] | None:
        signature, _, content = request.cookies.get(SAID, "").partition(".")
        if not sessions.is_signed("said", content, signature):
            return None
        level, _, text = unquote(content).partition(":")
        return level, text


def came_with_token(request: Request) -> bool:
    """Whether the request was made by a script that knows the token: no browser sends it by itself."""
    return getattr(request.state, "by_token", False) is True


def address_of(request: Request) -> str:
    """Return who asks: an IP address, "-" where it is unknown."""
    return request.client.host if request.client else "-"


def host_of(request: Request) -> str:
    """Return the name by which the browser calls us, without the port; empty for none, or for no name."""
    found = _HOST.fullmatch(request.headers.get("Host", ""))
    return found[1].strip("[]").lower().rstrip(".") if found else ""


def is_same_origin(request: Request) -> bool:
    """Whether an order comes from one of our own pages, as far as the browser says where it comes from.

    Browsers send `Origin` with every POST, and `Sec-Fetch-Site` over https and to this box itself.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    # "http://box:8480", or "null"
    return origin is None or origin.lower().partition("//")[2] == request.headers.get("Host", "").lower()


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this box alone. A name other than localhost is not."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def local_path(wanted: str) -> str:
    """Return `wanted` if it is a path of ours, else the first page: nobody is sent elsewhere."""
    # Browsers read "\" as "/", and leave out tabs and line ends; "//" begins another host's address.
    is_ours = wanted.startswith("/") and wanted.isprintable() and "\\" not in wanted
    return wanted if is_ours and not wanted.startswith("//") else "/"


def sign_in_address(back: str) -> str:
    """Return where to sign in, and then go back."""
    return f"/login?next={quote(local_path(back), safe='')}"


def _misdirected(host: str) -> Response:
    text = (
        f"The dashboard does not go by the name {host[:200]!r}. If it should, name it in "
        "ORCHESTRATOR_DASHBOARD_NAMES and start the dashboard again."
    )
    return PlainTextResponse(text, status_code=421)


def _closed(request: Request) -> Response:
    """Lead a reader who must sign in first to do so."""
    if request.url.path == "/live":
        # Its page was open when the session ended: it is told to fetch itself, and is then led to sign in.
        event = "retry: 30000\nevent: change\ndata: .\n\n"
        return Response(event, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if "HX-Request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": sign_in_address(back)})
    if request.method not in SAFE_METHODS or request.url.path == "/metrics":
        text = "sign in first, or send the token as Authorization: Bearer TOKEN"
        return PlainTextResponse(text, 401, headers={"WWW-Authenticate": "Bearer"})
    return RedirectResponse(sign_in_address(back), status_code=303)


def _set_cookie(request: Request, response: Response, name: str, value: str, max_age: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


class Gate:
    """Turns away what may not be asked before any page is made."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._access.refusal(Request(scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)


class SafeHeaders:
    """Puts `HEADERS` on every answer; pages and data are never kept by a cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What is shipped is asked for again by its mark, and mostly not sent again.
        kept = "no-cache" if scope.get("path", "").startswith("/static/") else "no-store"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # A stored report has a stricter policy of its own, and keeps it.
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", kept)
            await send(message)

        await self._app(scope, receive, with_headers)
