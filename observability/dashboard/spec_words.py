"""A task's spec in words, field by field, as its page tells it. Values in, words out."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from observability.redact import Redactor
from orchestration.ctl import words
from orchestration.errors import WhenError
from orchestration.types import Catchup, OncePer, ShortDay, TaskSpec
from orchestration.windows import InstantExpr, parse_instant, parse_window

ANCHORS = {
    "pre": "the hour at which the box must be ready",
    "open": "the open",
    "break_start": "the midday break",
    "break_end": "the end of the midday break",
    "close": "the close",
    "post": "the end of the hours after the close",
    "prep": "the beginning of PREP",
}
DAYS = {
    "all": "every day",
    "trading": "trading days",
    "closed": "days without trading",
    "early_close": "trading days with an early close",
    "full": "trading days without an early close",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A field. field: its name in a task file; links: tasks that it names."""

    field: str
    label: str
    text: str
    links: tuple[str, ...] = ()


def told(spec: TaskSpec) -> dict[str, list[Told]]:
    """Return every field but name and description, in groups."""
    return {
        title: [
            Told(field=name, label=label, text=text(spec), links=_links(spec, name))
            for name, (label, text) in group.items()
        ]
        for title, group in GROUPS.items()
    }


def instant_words(text: str) -> str:
    """Return an instant of the when-grammar in words: `30 min after the open`; as it is if it is none."""
    try:
        return _instant(parse_instant(text))
    except WhenError:
        return text


def window_words(text: str) -> str:
    """Return a window of the when-grammar in words; as it is if it is none."""
    try:
        found = parse_window(text)
    except WhenError:
        return text
    return f"from {_instant(found.start)} to {_instant(found.end)}"


def _instant(expr: InstantExpr) -> str:
    if expr.anchor is None:
        zone = f" in {expr.zone.key}" if expr.zone else " at the exchange"
        return f"{expr.minutes // 60:02d}:{expr.minutes % 60:02d}{zone}"
    anchor = ANCHORS[expr.anchor]
    if not expr.offset:
        return anchor
    side = "before" if expr.offset < timedelta() else "after"
    return f"{_long(abs(expr.offset))} {side} {anchor}"


def _long(duration: timedelta) -> str:
    return words.duration(duration.total_seconds())


def _minutes(minutes: float) -> str:
    return words.duration(60 * minutes)


def _names(values: object) -> str:
    found = sorted(map(str, values)) if isinstance(values, frozenset) else []
    return ", ".join(found).replace("_", " ").lower() or "none"


def _any(values: frozenset[str]) -> str:
    return _names(values) if values else "any"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _when(text: str | None, as_words: Callable[[str], str]) -> str:
    return "none" if text is None else f"{as_words(text)} ({text})"


def _command(spec: TaskSpec) -> str:
    plain = Redactor().plain(list(spec.argv))
    return shlex.join(map(str, plain if isinstance(plain, list) else spec.argv)) or "none"


def _env(spec: TaskSpec) -> str:
    return ", ".join(f"{name}={value}" for name, value in Redactor().mapping(spec.env).items()) or "none"


def _links(spec: TaskSpec, field: str) -> tuple[str, ...]:
    if field in ("dependencies", "conflicts"):
        return tuple(sorted(getattr(spec, field)))
    return (spec.reconciled_by,) if field == "reconciled_by" and spec.reconciled_by else ()


def _dependencies(spec: TaskSpec) -> str:
    ages = [f"{name} no older than {_long(age)}" for name, age in sorted(spec.dependency_max_age.items())]
    return "; ".join(ages) or "within the same cycle"


def _timeout(spec: TaskSpec) -> str:
    return f"stopped after {_minutes(spec.timeout_minutes)}" if spec.timeout_minutes > 0 else "never stopped"


Group = Mapping[str, tuple[str, Callable[[TaskSpec], str]]]
ONCE = {
    OncePer.CYCLE: "once from one close to the next",
    OncePer.PHASE: "once in each phase",
    OncePer.WEEK: "once a week",
    OncePer.MONTH: "once a month",
}
WHAT: Group = {
    "category": ("Kind", lambda s: s.category.value),
    "priority": ("Priority", lambda s: s.priority.name.lower()),
    "enabled": ("Enabled", lambda s: _yes(s.enabled)),
    "argv": ("Command", _command),
    "cwd": ("Folder", lambda s: s.cwd or "the project's"),
    "env": ("Environment", _env),
    "secrets": ("Secrets it sees", lambda s: ", ".join(sorted(s.secrets)) or "none"),
}
WHEN: Group = {
    "window": ("Window", lambda s: _when(s.window, window_words)),
    "at": ("At", lambda s: _when(s.at, instant_words)),
    "every": ("Every", lambda s: "none" if s.every is None else _long(s.every)),
    "cron": ("Cron", lambda s: s.cron or "none"),
    "once_per": ("Otherwise", lambda s: ONCE[s.once_per]),
    "on": ("Days", lambda s: f"{DAYS[s.on]} ({s.on})" if s.on in DAYS else s.on),
    "calendar": ("Exchange", lambda s: s.calendar),
    "modes": ("Modes", lambda s: _any(frozenset(s.modes))),
    "phases": ("Phases", lambda s: _any(frozenset(s.phases))),
    "deadline": ("Deadline", lambda s: _when(s.deadline, instant_words)),
    "short_day": (
        "On a short day",
        lambda s: "as its window says" if s.short_day is ShortDay.RUN else "not at all",
    ),
    "catchup": (
        "A missed slot",
        lambda s: "is left out" if s.catchup is Catchup.SKIP else f"is run once within {_long(s.grace)}",
    ),
    "grace": ("Grace for a missed slot", lambda s: _long(s.grace)),
    "tolerance": ("On time until", lambda s: f"{_long(s.tolerance)} after its instant"),
    "setup": ("At once on a new box", lambda s: _yes(s.setup)),
}
NEEDS_OF_IT: Group = {
    "dependencies": ("Waits for", lambda s: "" if s.dependencies else "none"),
    "dependency_max_age": ("Their success counts", _dependencies),
    "conflicts": ("Never beside", lambda s: "" if s.conflicts else "itself alone"),
    "needs": ("Needs", lambda s: _names(frozenset(s.needs))),
    "memory_mb": ("Memory to begin with", lambda s: words.megabytes(s.memory_mb)),
    "cpus": ("Slots", lambda s: str(s.cpus)),
    "pool": ("Pool", lambda s: s.pool),
}
LENGTH: Group = {
    "estimated_minutes": ("Estimate to begin with", lambda s: _minutes(s.estimated_minutes)),
    "timeout_minutes": ("Timeout", _timeout),
    "max_attempts": ("Attempts", lambda s: str(s.max_attempts)),
    "backoff": ("Before the second attempt", lambda s: f"{_long(s.backoff)}, doubled for each further"),
    "extendable": ("May run past its estimate", lambda s: _yes(s.extendable)),
    "interruptible": ("Checkpoints and resumes", lambda s: _yes(s.interruptible)),
    "min_slice_minutes": (
        "Starts only for",
        lambda s: f"at least {_minutes(s.min_slice_minutes)}" if s.min_slice_minutes else "any time",
    ),
    "idempotent": ("Run again after a crash", lambda s: _yes(s.idempotent)),
    "reconciled_by": ("A lost run is cleared by", lambda s: "" if s.reconciled_by else "the operator"),
    "opportunistic": ("Fills idle time", lambda s: _yes(s.opportunistic)),
}
GROUPS: Mapping[str, Group] = {
    "What it is": WHAT,
    "When it runs": WHEN,
    "What it needs": NEEDS_OF_IT,
    "How long, and what if": LENGTH,
}
