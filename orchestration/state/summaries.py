"""Many runs at a time, read lightly: what pages over half a million runs are made of.

No index is needed beyond those that writing and starting need. The unique one (task, cycle, slot, attempt)
finds a task's newest runs and its runs of a cycle, the one on planned_at finds a stretch of time. Reports are
left out: they are most of a row.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, and_, bindparam, case, func, literal, or_, select

from orchestration.decisions import Gate
from orchestration.state import schema
from orchestration.state.codec import (
    from_instant,
    from_optional_instant,
    gate_from_dict,
    to_instant,
)
from orchestration.state.history import WaitRow, wait_row

LONGEST_BEFORE = timedelta(hours=12)
"""How long before a stretch a run may have begun that is still seen in it."""
NARROW = 60
"""Of many runs those are one span that are no further apart than a sixtieth of the stretch."""


class BriefRun(NamedTuple):
    """A run without its report. outcome, stop_cause: as written, by whatever version; None: it is open, was
    not stopped. start: when it was started, or planned."""

    run_id: str
    task: str
    cycle: str
    attempt: int
    status: str
    start: datetime
    end: datetime | None
    predicted_end: datetime | None
    outcome: str | None
    exit_code: int | None
    duration_s: float | None
    peak_memory_mb: float | None
    reserved_mb: float
    predicted_minutes: float | None
    stop_cause: str | None
    filler: int
    detail: str


_FIRST = BriefRun._fields.index("start")


class Length(NamedTuple):
    """How long a run took, and how long it was to take: the median, and what nine in ten stay within."""

    seconds: float
    predicted_minutes: float | None
    high_minutes: float | None


class Taken(NamedTuple):
    """What a run took. planned_at: as it is written; of thousands few are read as instants."""

    run_id: str
    planned_at: str
    outcome: str | None
    duration_s: float | None
    peak_memory_mb: float | None
    predicted_minutes: float | None


class BusySpan(NamedTuple):
    """So many runs of a task that ended alike; end, outcome: None while one goes on; run_id: the last one."""

    task: str
    outcome: str | None
    start: datetime
    end: datetime | None
    runs: int
    run_id: str


class HeldSpan(NamedTuple):
    """A task was held back for this reason from `start` to `end`. gate: the worst that failed."""

    task: str
    start: datetime
    end: datetime
    gate: Gate


_R = schema.task_runs.c
_BEGAN = func.coalesce(_R.started_at, _R.planned_at)
_OTHER_NAMES: Mapping[str, Any] = {"start": _BEGAN, "end": _R.ended_at}
_BRIEF = [_OTHER_NAMES[name] if name in _OTHER_NAMES else _R[name] for name in BriefRun._fields]


def tasks_recorded(engine: Engine) -> list[str]:
    """Return the tasks that have a run on record, by name."""
    with engine.connect() as connection:
        return list(connection.execute(select(_distinct(_R.task))).scalars())


def _distinct(column: Any) -> Any:
    """Return the distinct values of an index's first column: one seek each; DISTINCT reads all of it."""
    smallest = select(func.min(column).label("value"))
    found = smallest.cte("found", recursive=True)
    following = smallest.where(column > found.c.value).scalar_subquery()
    found = found.union_all(select(following).where(found.c.value.is_not(None)))
    return select(found.c.value).where(found.c.value.is_not(None)).subquery().c.value


def oldest_run_at(engine: Engine) -> datetime | None:
    """Return when the oldest run on record was planned; None: there is none."""
    with engine.connect() as connection:
        return from_optional_instant(connection.execute(select(func.min(_R.planned_at))).scalar())


def runs_between(
    engine: Engine, since: datetime, until: datetime, outcomes: Collection[str], limit: int
) -> list[BriefRun]:
    """Return the newest `limit` runs begun in [since, until) that had these outcomes, newest first."""
    begun = (_R.planned_at >= to_instant(since), _R.planned_at < to_instant(until))
    query = (
        select(*_BRIEF)
        .where(*begun, _R.outcome.in_(sorted(outcomes)))
        .order_by(_R.planned_at.desc(), _R.run_id.desc())
        .limit(limit)
    )
    with engine.connect() as connection:
        return [_brief(row) for row in connection.execute(query)]


def busy_between(engine: Engine, since: datetime, until: datetime, most: int) -> list[BusySpan]:
    """Return when which task ran in [since, until), by task and time, a run that began before it among them.

    Of more than `most` runs those of one task that ended alike and are near each other are one span, so that
    about a third of `most` spans are left.
    """
    touches = or_(_R.ended_at.is_(None), _R.ended_at > to_instant(since))
    runs = (_R.planned_at >= to_instant(since - LONGEST_BEFORE), _R.planned_at < to_instant(until), touches)
    kind = (_R.task, _R.outcome)
    with engine.connect() as connection:
        count = connection.execute(select(func.count()).where(*runs[:2])).scalar_one()
        if count <= most:
            query = select(*kind, _BEGAN, _R.ended_at, literal(1), _R.run_id).where(*runs)
        else:
            # The text of an instant up to its hour.
            hour = func.substr(_R.planned_at, 1, len("2026-11-20T23"))
            last = case((func.count() == func.count(_R.ended_at), func.max(_R.ended_at)))
            each = (func.min(_BEGAN), last, func.count(), func.max(_R.run_id))
            query = select(*kind, *each).where(*runs).group_by(*kind, hour)
        rows = connection.execute(query).all()
    found = [BusySpan(t, o, from_instant(a), from_optional_instant(b), n, run) for t, o, a, b, n, run in rows]
    found.sort(key=lambda span: (span.task, span.outcome or "", span.start))
    if count > most:
        gap = (until - since) / NARROW
        found = _joined(found, gap)
        while len(found) > most // 3 and gap < until - since:
            gap *= 2
            found = _joined(found, gap)
    return sorted(found, key=attrgetter("task", "start"))


def _joined(spans: Iterable[BusySpan], gap: timedelta) -> list[BusySpan]:
    """Return the spans, neighbours of one kind that are no more than `gap` apart made one."""
    found: list[BusySpan] = []
    for span in spans:
        last = found[-1] if found else None
        if (
            last is None
            or (last.task, last.outcome) != (span.task, span.outcome)
            or last.end is None
            or span.start - last.end > gap
        ):
            found.append(span)
            continue
        end = None if span.end is None else max(last.end, span.end)
        found[-1] = last._replace(end=end, runs=last.runs + span.runs, run_id=span.run_id)
    return found


def lengths_of(engine: Engine, tasks: Iterable[str], limit: int) -> dict[str, list[Length]]:
    """Return about the newest `limit` runs of each task that came to their own end.

    By cycle, then by instant, as the index has them: of a task that runs by the week and was also run by hand
    the weeks come first. Tasks without one are left out.
    """
    query = (
        select(_R.duration_s, _R.predicted_minutes, _BEGAN, _R.predicted_end)
        .where(_R.task == bindparam("name"), _R.outcome == "succeeded", _R.duration_s.is_not(None))
        .order_by(_R.cycle.desc(), _R.planned_at.desc())
        .limit(limit)
    )
    with engine.connect() as connection:
        found = {task: [_length(*row) for row in connection.execute(query, {"name": task})] for task in tasks}
    return {task: lengths for task, lengths in found.items() if lengths}


def _length(seconds: float, minutes: float | None, start: str, predicted_end: str | None) -> Length:
    if predicted_end is None:
        return Length(seconds, minutes, None)
    high = datetime.fromisoformat(predicted_end) - datetime.fromisoformat(start)
    return Length(seconds, minutes, high.total_seconds() / 60)


def taken_by(engine: Engine, task: str) -> list[Taken]:
    """Return what every run of `task` that is kept took (retention: 5,000), newest first."""
    query = (
        select(*(_R[name] for name in Taken._fields))
        .where(_R.task == task)
        .order_by(_R.planned_at.desc(), _R.run_id.desc())
    )
    with engine.connect() as connection:
        return [Taken._make(row) for row in connection.execute(query)]


def runs_named(engine: Engine, run_ids: Collection[str]) -> list[BriefRun]:
    """Return these runs, newest first; a page of them, not thousands."""
    query = select(*_BRIEF).where(_R.run_id.in_(list(run_ids)))
    with engine.connect() as connection:
        found = [_brief(row) for row in connection.execute(query)]
    return sorted(found, key=attrgetter("start", "run_id"), reverse=True)


def busy_in(
    engine: Engine, tasks: Collection[str], cycles: Collection[str], now: datetime
) -> list[tuple[datetime, datetime]]:
    """Return when at least one run of these tasks in these cycles was under way: disjoint, in order.

    now: until when those that go on have come.
    """
    query = select(_BEGAN, func.coalesce(_R.ended_at, to_instant(now))).where(
        _R.task.in_(sorted(tasks)), _R.cycle.in_(sorted(cycles))
    )
    with engine.connect() as connection:
        rows = sorted(map(tuple, connection.execute(query)))
    # Their text sorts as instants do: only what is left of them is read as instants.
    found: list[list[str]] = []
    for start, end in rows:
        if found and start <= found[-1][1]:
            if end > found[-1][1]:
                found[-1][1] = end
        elif start < end:
            found.append([start, end])
    return [(from_instant(start), from_instant(end)) for start, end in found]


def reports_of(engine: Engine, task: str, cycle: str) -> list[Mapping[str, Any]]:
    """Return the reports of a task's runs in a cycle, newest first; what is no object is left out."""
    query = select(_R.report).where(_R.task == task, _R.cycle == cycle).order_by(_R.planned_at.desc())
    found = []
    with engine.connect() as connection:
        for text in connection.execute(query).scalars():
            with suppress(ValueError):
                found.append(json.loads(text))
    return [report for report in found if isinstance(report, dict)]


def waits_between(
    engine: Engine, held: Collection[str], skipped: Collection[str], since: datetime, until: datetime
) -> tuple[list[HeldSpan], list[WaitRow]]:
    """Return when tasks were held back for one of the reasons `held`, cut to [since, until), by task and
    time, and the slots that were skipped in it for one of `skipped`, newest first."""
    with engine.connect() as connection:
        rows = connection.execute(_waits(held, skipped, to_instant(since), to_instant(until))).mappings()
        found = list(rows)
    slots = [wait_row(row) for row in found if row["slot"] is not None]
    spans = []
    known: dict[str, Gate | None] = {}
    for row in found:
        if row["slot"] is not None:
            continue
        task, failures, ends = row["task"], row["failures"], row["ends"]
        start = max(since, from_instant(row["at"]))
        end = until if ends is None else min(until, from_instant(ends))
        # The same reasons come again and again; to read one takes longer than to find it.
        if failures not in known:
            known[failures] = next(map(gate_from_dict, json.loads(failures)), None)
        gate = known[failures]
        if gate is not None and start < end:
            spans.append(HeldSpan(task, start, end, gate))
    return spans, sorted(slots, key=attrgetter("at", "task"), reverse=True)


def _waits(held: Collection[str], skipped: Collection[str], since: str, until: str) -> Select[Any]:
    """The rows of the stretch with such a reason, and the one before it, each with the instant of its task's
    next row; skipped slots' in the same pass. By task, so that the index gives each one's few rows."""
    d, other = schema.decisions.c, schema.decisions.alias().c
    task = _distinct(d.task)
    earlier = (other.at <= since, other.slot.is_(None))
    before = select(func.max(other.at)).where(other.task == task, *earlier).scalar_subquery()
    begins = select(task.label("task"), func.coalesce(before, since).label("at")).cte("begins").c
    # The first half is for the index: of the second alone it makes no use.
    is_later = and_(other.at >= d.at, or_(other.at > d.at, other.id > d.id))
    following = (
        select(other.at)
        .where(other.task == d.task, is_later, other.slot.is_(None))
        .order_by(other.at, other.id)
        .limit(1)
        .scalar_subquery()
    )
    is_held = and_(d.slot.is_(None), d.reason.in_(sorted(held)))
    is_skipped = and_(d.slot.is_not(None), d.reason.in_(sorted(skipped)), d.at >= since)
    return (
        select(schema.decisions, following.label("ends"))
        .where(d.task == begins.task, d.at >= begins.at, d.at < until)
        .where(or_(is_held, is_skipped))
        .order_by(d.task, d.at)
    )


def newest_waits(engine: Engine, task: str, limit: int) -> list[WaitRow]:
    """Return the newest `limit` recorded reasons of `task`, newest first, skipped slots among them."""
    d = schema.decisions
    query = select(d).where(d.c.task == task).order_by(d.c.at.desc(), d.c.id.desc()).limit(limit)
    with engine.connect() as connection:
        return [wait_row(row) for row in connection.execute(query).mappings()]


def _brief(row: Any) -> BriefRun:
    ends = map(from_optional_instant, row[_FIRST + 1 : _FIRST + 3])
    return BriefRun._make((*row[:_FIRST], from_instant(row[_FIRST]), *ends, *row[_FIRST + 3 :]))
