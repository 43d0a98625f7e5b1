"""The pages, in the order of the menu. Each module makes the values that its template shows."""

from __future__ import annotations

from observability.dashboard.page import Page
from observability.dashboard.pages import now

PAGES: tuple[Page, ...] = (*now.PAGES,)
