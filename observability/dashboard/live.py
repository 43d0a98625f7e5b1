"""Server-sent events: every open page hears when something has changed, and fetches itself again.

Nothing is watched while nobody looks. One watcher serves every reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

WATCH_S = 0.5
"""How often the watcher looks whether a database has changed."""
TICK_S = 5.0
"""How often a page is told to show time, memory and progress anew although nothing was written."""
MOST_READERS = 100


class Pulse:
    """Tells readers of changes. version: changes with what is shown, and is cheap to ask for."""

    def __init__(self, version: Callable[[], object]) -> None:
        self._version = version
        self._readers: set[asyncio.Queue[str]] = set()
        self._watcher: asyncio.Task[None] | None = None

    @property
    def readers(self) -> int:
        """How many pages listen."""
        return len(self._readers)

    async def listen(self) -> AsyncGenerator[str, None]:
        """Yield "change" or "tick" whenever the page should show itself anew, until the reader is gone."""
        # One is enough: what a slow reader has missed is in the next page it fetches.
        queue: asyncio.Queue[str] = asyncio.Queue(1)
        self._readers.add(queue)
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
        try:
            while True:
                yield await queue.get()
        finally:
            self._readers.discard(queue)

    async def _watch(self) -> None:
        seen, passed = self._version(), 0.0
        while self._readers:
            await asyncio.sleep(WATCH_S)
            passed += WATCH_S
            version = self._version()
            if version != seen or passed >= TICK_S:
                self._tell("change" if version != seen else "tick")
                seen, passed = version, 0.0
        self._watcher = None

    def _tell(self, event: str) -> None:
        for queue in self._readers:
            if not queue.full():
                queue.put_nowait(event)


async def live(request: Request) -> Response:
    """Stream the events of `Pulse`."""
    pulse: Pulse = request.app.state.pulse
    if pulse.readers >= MOST_READERS:
        return PlainTextResponse("too many readers", status_code=503, headers={"Retry-After": "30"})

    async def events() -> AsyncIterator[str]:
        # What was missed while the connection was down is shown at once.
        yield "retry: 3000\nevent: change\ndata: .\n\n"
        async for event in pulse.listen():
            yield f"event: {event}\ndata: .\n\n"

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)
