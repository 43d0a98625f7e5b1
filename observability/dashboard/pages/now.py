"""Now: is everything fine, what runs, what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardware import patterns
from observability.dashboard.page import Page
from observability.dashboard.render import SEVERITIES
from observability.dashboard.source import Source
from orchestration.ctl import present
from orchestration.ctl.desk import View

NEXT = 4
"""So many of the things to come are shown."""


def make(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the page shows."""
    view = source.view()
    return {
        "view": view,
        "verdict": present.verdict(view),
        "down": present.down_since(view, source.zone),
        "leds": leds(view),
        "hours": present.research_hours(view),
        "window_share": present.window_share(view),
        "running": present.running(view),
        "coming": present.coming(view)[:NEXT],
        "severities": SEVERITIES,
    }


def leds(view: View) -> list[dict[str, Any]]:
    """Return each LED with its pattern, as the panel shows it; all dark where no daemon runs."""
    return [
        {
            "name": name,
            "pattern": pattern.name,
            "meaning": pattern.meaning,
            "steps": [list(step) for step in pattern.steps],
            "is_fault": pattern.name in patterns.ERRORS,
        }
        for name, pattern in present.leds(view).items()
    ]


PAGES = (Page(path="/", template="now.html", make=make, title="Now"),)
