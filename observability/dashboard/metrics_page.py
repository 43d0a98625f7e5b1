"""/metrics, for Prometheus: the text format, or OpenMetrics for a scraper that would rather have it."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from observability.dashboard.source import Source
from observability.metrics import OPEN_METRICS, TEXT, Exporter


def metrics_route(source: Source) -> Route:
    """Return the route of /metrics. Nothing is kept but the source's view, at most five seconds old."""
    exporter = Exporter(source)

    def answer(kind: str) -> Response:
        return PlainTextResponse(exporter.text(open_metrics=kind is OPEN_METRICS), media_type=kind)

    async def serve(request: Request) -> Response:
        wants_open = "application/openmetrics-text" in request.headers.get("accept", "")
        return await run_in_threadpool(answer, OPEN_METRICS if wants_open else TEXT)

    return Route("/metrics", serve, name="metrics")
