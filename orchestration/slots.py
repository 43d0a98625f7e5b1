"""When a task is due: from its spec, the calendar, its record and `now` to a slot, or to the reasons why not.

Pure. A `Timing` holds until `valid_until` unless the task's record changes; what cannot have changed is not
evaluated again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from orchestration import estimates, windows
from orchestration.compiled import CompiledSpec, Place
from orchestration.decisions import Gate, Reason
from orchestration.market_calendar import Calendars
from orchestration.places import FAR, LOOK_AHEAD_DAYS, ONE_DAY, day_refused, find_place, next_start
from orchestration.runs import QUARANTINE_AFTER, QUARANTINE_WITHIN, TaskRecord, week_of
from orchestration.types import Catchup, OncePer, Stretch, TaskCategory

SETUP_SLOT = "setup"
ONE_SECOND = timedelta(seconds=1)
INSTANT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z")
"""An instant in a text, as `iso` writes it; without its seconds, too."""


class Slot(NamedTuple):
    """One nominal occasion to run.

    cycle, slot, attempt: the run's identity (see RunKey). at: the nominal instant, None for "once".
    since: from when it is due; expires: the instant at which it can no longer be started (None: never).
    deadline: the instant its run must be done by, None if it has none. period: what `once_per` counts.
    """

    cycle: str
    slot: str
    attempt: int
    at: datetime | None
    since: datetime
    expires: datetime | None = None
    deadline: datetime | None = None
    period: str = ""


class Timing(NamedTuple):
    """A task's timing: due (slot) or not (failures, worst first), true until `valid_until`.

    next_at: the next instant at which it may become due, None if unknown. missed: a slot that passed unused.
    """

    slot: Slot | None
    failures: tuple[Gate, ...]
    valid_until: datetime
    next_at: datetime | None = None
    missed: tuple[Slot, Gate] | None = None


def timing(
    c: CompiledSpec,
    now: datetime,
    calendars: Calendars,
    ahead: Sequence[Stretch],
    record: TaskRecord,
    manual: str | None = None,
    paused: str | None = None,
) -> Timing:
    """Return whether `c` is due at `now`. ahead: consecutive stretches, the first contains `now`."""
    stretch = ahead[0]
    standing = _standing_failures(c, record, now, stretch, paused)
    if standing:
        clears = [g.clears_at for g in standing if g.clears_at is not None and g.clears_at > now]
        return Timing(None, standing, min([stretch.end, *clears]), max(clears, default=None))
    if manual is not None:
        slot = _attempted(record, stretch.cycle.isoformat(), manual, None, now)
        return Timing(slot, (), stretch.end, now)
    found = _found(c, now, calendars, ahead, record)
    if found.slot is None:
        return found
    started = record.last_started_at
    if started is not None and _is_behind(found.slot, started, now):
        detail = f"the clock was set back: it last started at {iso(started)}"
        gate = Gate(Reason.NOT_DUE, False, detail, clears_at=started)
        return Timing(None, (gate,), min(found.valid_until, started), started)
    if record.not_before is not None and now < record.not_before:
        gate = Gate(Reason.BACKOFF, False, "waits before its next attempt", clears_at=record.not_before)
        return Timing(None, (gate,), min(found.valid_until, record.not_before), record.not_before)
    if found.slot.deadline is not None:
        return _held_to_deadline(c, found, found.slot, now, record)
    return found


def _found(
    c: CompiledSpec, now: datetime, calendars: Calendars, ahead: Sequence[Stretch], record: TaskRecord
) -> Timing:
    if c.spec.setup and record.last_success_at is None:
        return _setup(record, ahead[0], now)
    if c.unnamed:
        gate = Gate(Reason.DISABLED, False, "the fixed timetable does not name it")
        return Timing(None, (gate,), ahead[0].end)
    if c.cron is not None:
        return _cron(c, now, calendars, ahead, record)
    if c.spec.at is not None:
        return _at(c, now, calendars, ahead, record)
    place = find_place(c, now, calendars, ahead)
    if place.failures:
        return Timing(None, place.failures, place.valid_until, place.next_at)
    if c.every is not None:
        return _every(c, now, calendars, ahead, record, place)
    return _once(c, now, calendars, ahead, record, place)


def _standing_failures(
    c: CompiledSpec, record: TaskRecord, now: datetime, stretch: Stretch, paused: str | None
) -> tuple[Gate, ...]:
    """The gates that do not depend on the hour."""
    is_known = stretch.is_known or not c.needs_calendar
    is_clear = record.quarantined_until is None and record.unknown_since is None and not record.paused
    if is_clear and is_known and paused is None and c.spec.enabled:
        return ()
    failures: list[Gate] = []
    if not c.spec.enabled:
        failures.append(Gate(Reason.DISABLED, False, "enabled = false"))
    if record.quarantined_until is not None and now < record.quarantined_until:
        within = QUARANTINE_WITHIN // timedelta(minutes=1)
        detail = f"failed {QUARANTINE_AFTER} times within {within} minutes"
        failures.append(Gate(Reason.QUARANTINED, False, detail, clears_at=record.quarantined_until))
    if record.unknown_since is not None:
        by = c.spec.reconciled_by or f"the operator (orchestratorctl reconcile {c.name})"
        detail = f"a run of {record.unknown_since:%Y-%m-%dT%H:%MZ} has an unknown end; waits for {by}"
        failures.append(Gate(Reason.NEEDS_RECONCILE, False, detail))
    if not is_known:
        failures.append(Gate(Reason.CALENDAR_STALE, False, f"no session table covers {stretch.cycle}"))
    if record.paused or paused == "all" or (paused and not c.is_duty):
        what = "it" if record.paused else "everything" if paused == "all" else "all but trading duties"
        failures.append(Gate(Reason.PAUSED, False, f"the operator paused {what}"))
    return tuple(failures)


def _setup(record: TaskRecord, stretch: Stretch, now: datetime) -> Timing:
    cycle = stretch.cycle.isoformat()
    if _is_over(record, cycle):
        return Timing(None, (_not_due(f"{cycle} was over before the clock was set back", None),), stretch.end)
    if record.attempt_slot == SETUP_SLOT and record.attempt_cycle == cycle and record.settled:
        gate = Gate(Reason.ALREADY_RAN, False, _gave_up(record), clears_at=stretch.end)
        return Timing(None, (gate,), stretch.end)
    slot = _attempted(record, cycle, SETUP_SLOT, None, now)._replace(period=cycle)
    return Timing(slot, (), stretch.end, now)


def _every(
    c: CompiledSpec,
    now: datetime,
    calendars: Calendars,
    ahead: Sequence[Stretch],
    record: TaskRecord,
    place: Place,
) -> Timing:
    assert c.every is not None
    stretch = ahead[0]
    passed = (now - place.start) // c.every
    at = place.start + passed * c.every
    next_at = at + c.every
    until = min(place.valid_until, next_at)
    if _is_used(record, at):
        clears = next_at if next_at < place.valid_until else None
        return Timing(None, (_not_due(f"every {spoken(c.every)}", clears),), until, clears)
    slot = _attempted(record, stretch.cycle.isoformat(), iso(at), at, at)
    return Timing(_with_deadline(c, slot, calendars), (), until, at)


def _once(
    c: CompiledSpec,
    now: datetime,
    calendars: Calendars,
    ahead: Sequence[Stretch],
    record: TaskRecord,
    place: Place,
) -> Timing:
    stretch = ahead[0]
    owner = stretch if c.spec.window is None else calendars.stretch(place.start)
    cycle, slot_name, period = _period(c.spec.once_per, owner)
    if _is_over(record, cycle):
        return Timing(
            None, (_not_due(f"{cycle} was over before the clock was set back", None),), place.valid_until
        )
    if record.last_success_period == period:
        gate = Gate(Reason.ALREADY_RAN, False, f"succeeded in {period}", clears_at=_next_period(ahead, c))
        return Timing(None, (gate,), place.valid_until, gate.clears_at)
    slot = _attempted(record, cycle, slot_name, None, place.start)._replace(period=period)
    if _was_settled(record, slot):
        gate = Gate(Reason.ALREADY_RAN, False, _gave_up(record), clears_at=_next_period(ahead, c))
        return Timing(None, (gate,), place.valid_until, gate.clears_at)
    return Timing(_with_deadline(c, slot, calendars), (), place.valid_until, place.start)


def _period(once_per: OncePer, stretch: Stretch) -> tuple[str, str, str]:
    """Return the key's cycle, its slot and the period counted."""
    cycle = stretch.cycle.isoformat()
    if once_per is OncePer.CYCLE:
        return cycle, "once", cycle
    if once_per is OncePer.PHASE:
        return cycle, f"once-{stretch.phase}", stretch.window.id
    if once_per is OncePer.WEEK:
        week = week_of(stretch.cycle)
        return week, "once", week
    return f"{stretch.cycle:%Y-%m}", "once", f"{stretch.cycle:%Y-%m}"


def _next_period(ahead: Sequence[Stretch], c: CompiledSpec) -> datetime | None:
    present = _period(c.spec.once_per, ahead[0])[2]
    return next_start(
        ahead,
        lambda s: (
            _period(c.spec.once_per, s)[2] != present
            and (not c.modes or s.mode.value in c.modes)
            and (not c.phases or s.phase.value in c.phases)
        ),
    )


def _at(
    c: CompiledSpec, now: datetime, calendars: Calendars, ahead: Sequence[Stretch], record: TaskRecord
) -> Timing:
    assert c.spec.at is not None
    expr = windows.parse_instant(c.spec.at)
    today = c.exchange.local_date(now)
    instants = []
    for offset in range(-2, LOOK_AHEAD_DAYS):
        day = today + offset * ONE_DAY
        if day_refused(c, day) is None:
            instant, _ = windows.instant_on(expr, day, c.exchange, calendars)
            if instant is not None:
                instants.append(instant)
                if instant > now:
                    break
    last = max((i for i in instants if i <= now), default=None)
    following = min((i for i in instants if i > now), default=None)
    return _on_the_clock(c, now, calendars, ahead, record, last, following, f"at {c.spec.at}")


def _cron(
    c: CompiledSpec, now: datetime, calendars: Calendars, ahead: Sequence[Stretch], record: TaskRecord
) -> Timing:
    assert c.cron is not None
    zone = c.exchange.zone
    look_back = max(c.spec.grace, c.spec.tolerance)
    if record.last_slot is not None:
        # A second more, so that the last slot itself is found while it is being retried.
        look_back = max(look_back, now - record.last_slot + ONE_SECOND)
    last = windows.cron_at_or_before(c.cron, now, zone, min(look_back, timedelta(days=8)))
    following = windows.cron_next(c.cron, now, zone)
    return _on_the_clock(c, now, calendars, ahead, record, last, following, f"cron {c.cron}")


def _on_the_clock(
    c: CompiledSpec,
    now: datetime,
    calendars: Calendars,
    ahead: Sequence[Stretch],
    record: TaskRecord,
    last: datetime | None,
    following: datetime | None,
    rule: str,
) -> Timing:
    """A task with clock times: `last` is its newest one at or before now, `following` the one after."""
    place = find_place(c, now, calendars, ahead) if c.spec.at is None or c.phases or c.modes else None
    until = min([ahead[0].end, *([following] if following else []), *([place.valid_until] if place else [])])
    not_due = Timing(None, (_not_due(rule, following),), until, following)
    if last is None or _is_used(record, last):
        return not_due
    slot = _attempted(record, calendars.stretch(last).cycle.isoformat(), iso(last), last, last)
    expires = _last_start(c, slot.attempt, last, following)
    slot = _with_deadline(c, slot._replace(expires=expires), calendars)
    if now > last + c.spec.tolerance and record.last_slot is None and record.last_started_at is None:
        return not_due  # a box that has just been set up has missed nothing
    if now >= expires:
        allowed = "grace" if c.spec.catchup is Catchup.ONCE else "tolerance"
        detail = f"missed {iso(last)} ({rule}): not started by {iso(expires)}, the end of its {allowed}"
        gate = Gate(Reason.NOT_DUE, False, detail)
        return not_due._replace(missed=(slot, gate))
    if place is not None and place.failures:
        return Timing(None, place.failures, min(until, expires), place.next_at)
    return Timing(slot, (), min(until, expires), last)


def _last_start(c: CompiledSpec, attempt: int, at: datetime, following: datetime | None) -> datetime:
    """Until when the slot at `at` may be started: within its tolerance, or its grace where it catches up; a
    retry, which is not late, until the next slot; a trading task never after the close."""
    late = c.spec.grace if c.spec.catchup is Catchup.ONCE else c.spec.tolerance
    expires = at + max(late, ONE_SECOND) if attempt == 1 else following or FAR
    if c.spec.category in (TaskCategory.TRADING, TaskCategory.RISK):
        session = c.exchange.on(c.exchange.local_date(at))
        if session is not None and at < session.close:
            expires = min(expires, session.close)
    return expires


def _held_to_deadline(
    c: CompiledSpec, found: Timing, slot: Slot, now: datetime, record: TaskRecord
) -> Timing:
    assert slot.deadline is not None
    median = estimates.median_minutes(c.spec, record.estimate)
    latest = slot.deadline - timedelta(minutes=median)
    if now <= latest:
        return found._replace(valid_until=min(found.valid_until, latest + timedelta(milliseconds=1)))
    gate = Gate(Reason.DEADLINE_PASSED, False, _too_late(latest, slot.deadline))
    return Timing(None, (gate,), found.valid_until, None, (slot, gate))


def _too_late(latest: datetime, deadline: datetime) -> str:
    """Say it in whole seconds, the latest start rounded down: the task takes what lies between the two."""
    start = latest.replace(microsecond=0)
    takes = spoken(deadline - start)
    return f"the latest start was {iso(start)}, as it takes {takes} and its deadline is {iso(deadline)}"


def _with_deadline(c: CompiledSpec, slot: Slot, calendars: Calendars) -> Slot:
    if c.spec.deadline is None:
        return slot
    if slot.since not in c.deadlines:
        if len(c.deadlines) > 40:
            c.deadlines.clear()
        c.deadlines[slot.since] = _first_deadline(c, slot.since, calendars)
    return slot._replace(deadline=c.deadlines[slot.since])


def _first_deadline(c: CompiledSpec, since: datetime, calendars: Calendars) -> datetime | None:
    """The first instant of the deadline's expression after the slot began."""
    assert c.spec.deadline is not None
    expr = windows.parse_instant(c.spec.deadline)
    day = c.exchange.local_date(since)
    for offset in range(-1, LOOK_AHEAD_DAYS):
        instant, _ = windows.instant_on(expr, day + offset * ONE_DAY, c.exchange, calendars)
        if instant is not None and instant > since:
            return instant
    return None


def _attempted(record: TaskRecord, cycle: str, slot: str, at: datetime | None, since: datetime) -> Slot:
    same = record.attempt_cycle == cycle and record.attempt_slot == slot
    return Slot(cycle, slot, record.attempts + 1 if same else 1, at, since)


def _was_settled(record: TaskRecord, slot: Slot) -> bool:
    return record.attempt_cycle == slot.cycle and record.attempt_slot == slot.slot and record.settled


def _is_over(record: TaskRecord, cycle: str) -> bool:
    """Whether a later cycle has been begun: the wall clock was set back, and nothing runs twice for it."""
    last = record.attempt_cycle
    return last is not None and len(last) == len(cycle) and last > cycle


def _is_behind(slot: Slot, started: datetime, now: datetime) -> bool:
    """Whether the wall clock was set back to before the last start, into an occasion that is not the one
    last tried: it may have been used, and nothing remembers it."""
    return slot.at is None and slot.attempt == 1 and started > now


def _is_used(record: TaskRecord, at: datetime) -> bool:
    """Whether the slot at `at` has been started or skipped, and is not to be tried again."""
    if record.last_slot is None or record.last_slot < at:
        return False
    return record.last_slot > at or record.settled or record.attempt_slot != iso(at)


def _not_due(rule: str, clears_at: datetime | None) -> Gate:
    return Gate(Reason.NOT_DUE, False, rule, clears_at=clears_at)


def _gave_up(record: TaskRecord) -> str:
    """Say why a settled slot is not tried again: without an attempt it was skipped for its deadline."""
    if record.attempts == 0:
        return "missed its deadline before it could start"
    how = str(record.last_outcome).replace("_", " ")
    return f"gave up after {tries(record)}, the last {how}"


def tries(record: TaskRecord) -> str:
    """Return how often its slot was tried, in words: `1 attempt`."""
    return f"{record.attempts} attempt{'' if record.attempts == 1 else 's'}"


@lru_cache(maxsize=256)
def spoken(duration: timedelta) -> str:
    """Return a duration as the task file writes it: `1h30m`."""
    seconds = round(duration.total_seconds())
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def iso(instant: datetime) -> str:
    """Return an instant as its slot's name: `2026-11-20T14:30:00Z`."""
    text = instant.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def with_instants(text: str, spell: Callable[[datetime], str]) -> str:
    """Return `text` with every instant in it, written as `iso` does, as `spell` writes it: for people, who
    read local time."""
    return INSTANT.sub(lambda found: spell(datetime.fromisoformat(found[0])), text)
