"""The daily digest: what ran and failed since the last one, research time used, alerts, what comes. Plain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from observability.alert_delivery import Message
from observability.report_document import FAIL
from observability.report_facts import AlertFact, RunFact, read_facts
from scripts._report_inputs import Days
from scripts._report_values import Window, by_task, level_of, share_busy, shown, shown_span

if TYPE_CHECKING:
    from config import Settings

LISTED = 8
"""Failures and alerts that are named; the others are counted."""

LINE = 160


def compose_digest(settings: Settings, database: Path, since: datetime, now: datetime) -> Message:
    """Return the digest of [since, now). Raises OrchestratorError if the calendar cannot be had."""
    days = Days.read(database, now, settings)
    facts = read_facts(database, since, now)
    ended = [run for run in facts.runs if run.status == "ended"]
    failed = [run for run in ended if level_of(run) == FAIL]
    standing = [alert for alert in facts.alerts if alert.cleared_at is None]
    lines = [
        f"Since {shown(since, days.zone)} ({days.zone.key}):",
        f"{len(ended)} runs of {len(by_task(ended))} tasks, {len(failed)} failed.",
        *_failures(failed),
        "",
        *_research(days, database, since, now),
        *_alerts(facts.alerts, standing, days, since),
        *dict.fromkeys(facts.notes),
        "",
        *_coming(days, now),
    ]
    alerts = f"{len(standing)} alert{'s' if len(standing) > 1 else ''} open"
    parts = [f"{len(failed)} failed"] * bool(failed) + [alerts] * bool(standing)
    parts += ["not all is known"] * bool(facts.notes)
    state = ", ".join(parts) or "all well"
    return Message(title=f"Daily digest, {days.local_date(now):%a %Y-%m-%d}: {state}", text="\n".join(lines))


def _failures(failed: Sequence[RunFact]) -> Iterator[str]:
    groups = sorted(by_task(failed).items(), key=lambda item: (-len(item[1]), item[0]))
    for task, runs in groups[:LISTED]:
        last = runs[-1]
        why = last.detail or (
            f"exit {last.exit_code}" if last.exit_code is not None else "no reason recorded"
        )
        yield f"- {task}: {last.outcome}, {why}{f' ({len(runs)} times)' if len(runs) > 1 else ''}"[:LINE]
    if len(groups) > LISTED:
        yield f"- and {len(groups) - LISTED} other tasks"


def _research(days: Days, database: Path, since: datetime, now: datetime) -> Iterator[str]:
    for window in days.windows(since, now):
        span = window.prep - window.start
        busy = share_busy(read_facts(database, window.start, window.prep).runs, window, now)
        share = 100 * busy / span if span > timedelta(0) else 0.0
        yield f"Research time before {window.name}: {share:.0f} % used ({shown_span(busy)} of {_of(window)})."


def _of(window: Window) -> str:
    return shown_span(window.prep - window.start)


def _alerts(
    alerts: Sequence[AlertFact], standing: Sequence[AlertFact], days: Days, since: datetime
) -> Iterator[str]:
    raised = sum(alert.raised_at >= since for alert in alerts)
    yield f"Alerts: {raised} raised, {len(alerts) - len(standing)} cleared, {len(standing)} open."
    for alert in standing[-LISTED:]:
        yield f"- [{alert.severity}] since {shown(alert.raised_at, days.zone)}: {alert.text}"[:LINE]
    if len(standing) > LISTED:
        yield f"- and {len(standing) - LISTED} older ones"


def _coming(days: Days, now: datetime) -> Iterator[str]:
    session = days.next_session(now)
    if session is None:
        yield "The next session is unknown: the calendar does not reach that far."
        return
    closes = session.close.astimezone(days.zone)
    early = ", an early close" if session.is_early_close else ""
    yield f"Next session: {shown(session.open, days.zone)} to {closes:%H:%M}{early}."
    stretch = days.calendars.stretch(now)
    if stretch.is_known:
        hours = stretch.budget_at(now).research_hours
        yield f"Research time left before {stretch.cycle}: {hours:.0f} h."
