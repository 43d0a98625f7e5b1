"""Now: is everything fine, what runs, what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardware import patterns
from observability.dashboard.page import Page
from observability.dashboard.source import Source
from orchestration.ctl.desk import View
from orchestration.ctl.health import complaints


def make(source: Source, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the page shows."""
    view = source.view()
    return {"view": view, "complaints": complaints(view, view["alerts"]), "leds": leds(view)}


def leds(view: View) -> list[dict[str, Any]]:
    """Return each LED with its pattern, as the panel shows it; all dark where no daemon runs."""
    panel = view["panel"] if view["daemon"] else None
    shown = (
        dict.fromkeys(patterns.LEDS, patterns.OFF)
        if panel is None
        else patterns.shown(panel["mode"], extended=panel["extended"], error=panel["error"])
    )
    return [
        {
            "name": name,
            "pattern": pattern.name,
            "meaning": pattern.meaning,
            "steps": [list(step) for step in pattern.steps],
            "is_fault": pattern.name in patterns.ERRORS,
        }
        for name, pattern in shown.items()
    ]


PAGES = (Page(path="/", template="now.html", make=make, title="Now"),)
