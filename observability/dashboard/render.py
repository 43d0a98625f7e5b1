"""Pages from templates. A page that updates itself fetches its own content again, without the frame."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from observability.dashboard import reasons
from observability.dashboard.figures import FILTERS
from orchestration.ctl import words

HERE = Path(__file__).resolve().parent
MARKS: Mapping[str, str] = {"ok": "✓", "warn": "!", "fail": "✗", "info": "·", "run": "▶"}
"""Levels are told apart by a sign, never by colour alone."""
SEVERITIES: Mapping[str, str] = {"info": "info", "warning": "warn", "error": "fail", "critical": "fail"}
"""From an alert's severity to its level."""


def environment(zone: tzinfo) -> jinja2.Environment:
    """Return the templates' environment. zone: what instants are shown in."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "duration": words.duration,
        "mb": words.megabytes,
        "known": words.known,
        "instant": lambda at, now=None: words.instant(at, zone, now),
        "away": words.away,
        "since": words.since,
        "lasted": words.lasted,
        "reason": lambda gate, now=None: reasons.reason(gate, zone, now),
        "clock": lambda at: clock(at, zone),
        "badge": badge,
        **FILTERS,
    }
    made.globals |= {"MARKS": MARKS}
    return made


def clock(at: str | datetime | None, zone: tzinfo) -> str:
    """Return an instant as the time of day in `zone`, `18:00`; "-" for None."""
    if at is None:
        return "-"
    instant = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{instant.astimezone(zone):%H:%M}"


def badge(text: object, level: str = "info") -> Markup:
    """Return a short word with its level's sign and colour. level: a key of `MARKS`."""
    template = Markup('<span class="badge {level}"><b aria-hidden="true">{mark}</b> {text}</span>')
    return template.format(level=level, mark=MARKS[level], text=text)


def block(template: jinja2.Template, name: str, context: Mapping[str, Any]) -> str:
    """Return one block of a template alone, without what surrounds it."""
    return "".join(template.blocks[name](template.new_context(dict(context))))
