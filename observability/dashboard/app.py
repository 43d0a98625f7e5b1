"""The dashboard: a process of its own that reads the databases and serves them to browsers at home.

It is given everything (settings, clock, token) by `scripts/dashboard.py`; nothing of the daemon imports it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from observability.dashboard.actions import AT_ONCE, act, login, logout
from observability.dashboard.live import Pulse, live
from observability.dashboard.metrics_page import metrics_route
from observability.dashboard.page import Kept, frame, route_of
from observability.dashboard.pages import PAGES, ROUTES
from observability.dashboard.render import HERE, environment
from observability.dashboard.security import HEADERS, Access, Gate, SafeHeaders
from observability.dashboard.source import Source
from orchestration.errors import OrchestratorError
from orchestration.state.unread import unreadable

THREADS = 4
"""How many pages are made at a time; a Pi has four cores, and the daemon wants one of them."""


def create_app(source: Source, access: Access) -> Starlette:
    """Return the application over `source`. access: who may do what."""
    routes: list[BaseRoute] = [
        *map(route_of, PAGES),
        *ROUTES,
        Route("/live", live),
        metrics_route(source),
        Route("/actions/{name}", act, methods=["POST"]),
        Route("/login", login, methods=["GET", "POST"]),
        Route("/logout", logout, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    handlers: dict[Any, Any] = {
        HTTPException: told,
        OrchestratorError: told,
        SQLAlchemyError: told,
        Exception: broken,
    }
    made = Starlette(
        routes=routes,
        middleware=[Middleware(SafeHeaders), Middleware(Gate, access)],
        exception_handlers=handlers,
        lifespan=_bounded,
    )
    made.state.source, made.state.access = source, access
    made.state.templates = environment(source.zone)
    made.state.kept = Kept(source.desk.clock.monotonic)
    made.state.pulse = Pulse(source.version)
    made.state.acting = anyio.CapacityLimiter(AT_ONCE)
    made.state.menu = [page for page in PAGES if page.title is not None]
    return made


@contextlib.asynccontextmanager
async def _bounded(app: Starlette) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


def warm(app: Starlette) -> None:
    """Read the box and the templates once, so that the first reader need not wait for it."""
    for page in PAGES:
        app.state.templates.get_template(page.template)
    # What is wrong is told to whoever looks.
    with contextlib.suppress(OrchestratorError, SQLAlchemyError, OSError):
        app.state.source.view()


def told(request: Request, error: Exception) -> Response:
    """Return a page that says what is wrong in a sentence, and where to look for more."""
    code = error.status_code if isinstance(error, HTTPException) else 503
    text = _said(error, request.app.state.source)
    template = request.app.state.templates.get_template("told.html")
    inner = template.render(code=code, text=text, path=request.url.path)
    if "HX-Request" in request.headers:
        said = {"X-Said": quote(text)} if request.method == "POST" else {}
        return HTMLResponse(inner, status_code=code, headers=said)
    # A box without a state yet shows its first page as soon as there is one.
    page = frame(request, inner, str(request.url.path), "Not here", live=code == 503)
    return HTMLResponse(page, status_code=code)


def _said(error: Exception, source: Source) -> str:
    if isinstance(error, HTTPException):
        return error.detail
    if isinstance(error, SQLAlchemyError):
        try:
            return str(unreadable(error, source.engine))
        except OrchestratorError as other:
            return str(other)
    return str(error)


def broken(request: Request, error: Exception) -> Response:
    """Return a page for a fault of the dashboard itself; the log has the error."""
    fault = HTTPException(500, "the dashboard has failed at this; its log says at what")
    answer = told(request, fault)
    # It goes out beside the middleware that would put them there.
    answer.headers.update({**HEADERS, "Cache-Control": "no-store"})
    return answer
