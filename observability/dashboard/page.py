"""One page: where it is, what it shows, and how it is served to many readers at little cost."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from observability.dashboard.render import block
from observability.dashboard.source import Source
from orchestration.errors import OrchestratorError

KEPT_S = 1.0
"""How long a page's content is served as it is: fifty readers of one page are one reading."""
MOST_KEPT = 32

Make = Callable[[Source, Mapping[str, str]], Mapping[str, Any]]
"""From the source and the request's path and query parameters to what the template needs.

Raises LookupError (KeyError, ...) with a sentence for what is not there: the reader gets a page that says it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """path: as Starlette has it. title: None for a page that the menu does not name."""

    path: str
    template: str
    make: Make
    title: str | None = None


class Kept:
    """Content that was made a moment ago, by page; one request makes it and the others wait for it."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._found: OrderedDict[str, tuple[float, object, str]] = OrderedDict()

    def get(self, key: str, version: object, make: Callable[[], str]) -> str:
        """Return what is kept under `key` of this `version`, or make it."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            found = self._found.get(key)
            if found is not None and found[1] == version and self._monotonic() - found[0] < KEPT_S:
                return found[2]
            try:
                content = make()
            except BaseException:
                # A page that is not there leaves nothing behind, however many are asked for.
                with self._lock:
                    self._making.pop(key, None)
                raise
            with self._lock:
                self._found[key] = self._monotonic(), version, content
                self._found.move_to_end(key)
                while len(self._found) > MOST_KEPT:
                    self._making.pop(self._found.popitem(last=False)[0], None)
            return content


def route_of(page: Page) -> Route:
    """Return the route that serves a page, or with `HX-Request` its content alone."""

    async def serve(request: Request) -> Response:
        return await run_in_threadpool(_serve, page, request)

    return Route(page.path, serve, name=page.template)


def _serve(page: Page, request: Request) -> Response:
    state = request.app.state
    source: Source = state.source
    template = state.templates.get_template(page.template)
    wanted = {**request.query_params, **request.path_params}
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")

    def content() -> str:
        found = {"now": source.now(), "here": here, **page.make(source, wanted)}
        return block(template, "content", found)

    try:
        inner = state.kept.get(here, source.version(), content)
    except OrchestratorError:
        # A calendar that cannot be used is a LookupError, too; the page is there all the same.
        raise
    except LookupError as error:
        raise HTTPException(404, str(error.args[0]) if error.args else "there is no such page") from error
    if "HX-Request" in request.headers:
        return HTMLResponse(inner)
    return HTMLResponse(frame(request, inner, here, page.title or "", live=True))


def frame(request: Request, inner: str, here: str, title: str, *, live: bool) -> str:
    """Return a whole page around its content. live: it fetches itself again when something changes."""
    state = request.app.state
    return str(
        state.templates.get_template("frame.html").render(
            inner=inner,
            here=here,
            title=title,
            live=live,
            menu=state.menu,
            path=request.url.path,
            session=state.access.session(request),
        )
    )
