"""The pages, in the order of the menu. Each module makes the values that its template shows."""

from __future__ import annotations

from starlette.routing import Route

from observability.dashboard.page import Page
from observability.dashboard.pages import (
    candidates,
    health,
    history,
    now,
    orders,
    reports,
    runs,
    task,
    tonight,
    trading,
)

PAGES: tuple[Page, ...] = (
    *now.PAGES,
    *tonight.PAGES,
    *history.PAGES,
    *task.PAGES,
    *runs.PAGES,
    *trading.PAGES,
    *orders.PAGES,
    *candidates.PAGES,
    *reports.PAGES,
    *health.PAGES,
)
ROUTES: tuple[Route, ...] = (*reports.ROUTES, *runs.ROUTES)
"""What is served as it is, without the pages' frame."""
