"""What the daemon missed while it was away: from when to when, and which trading duties. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from orchestration.agenda import HORIZON
from orchestration.compiled import CompiledSpec, compile_spec
from orchestration.decisions import Policy
from orchestration.market_calendar import Calendars
from orchestration.places import find_place
from orchestration.runs import NO_RECORD, TaskRecord
from orchestration.slots import SETUP_SLOT, Slot, spoken, timing
from orchestration.types import Stretch, TaskCategory, TaskSpec

LONGEST = timedelta(days=30)
"""Of a longer absence the duties of its last days are counted: nobody needs the rest."""
MOST_COUNTED = 1000
MOST_NAMED = 8
MOMENT = timedelta(microseconds=1)


class Absence(NamedTuple):
    """The daemon was away in [start, end). start: its last sign of life. orderly: whether it was stopped."""

    start: datetime
    end: datetime
    orderly: bool

    @property
    def length(self) -> timedelta:
        return self.end - self.start


def missed_duties(
    absence: Absence,
    specs: Mapping[str, TaskSpec],
    records: Mapping[str, TaskRecord],
    calendars: Calendars,
    policy: Policy,
) -> dict[str, int]:
    """Return how many occasions of each trading duty passed unused, those that can still be made up for left
    out; `MOST_COUNTED` stands for that many and more. records: as the absence began."""
    start = max(absence.start, absence.end - LONGEST)
    ahead = [calendars.stretch(start)]
    while ahead[-1].end < absence.end + HORIZON:
        ahead.append(calendars.stretch(ahead[-1].end))
    found = {}
    for name in sorted(specs):
        spec = specs[name]
        if spec.is_duty and spec.enabled and spec.category is not TaskCategory.MAINTENANCE:
            compiled, record = compile_spec(spec, calendars, policy), records.get(name, NO_RECORD)
            found[name] = _missed(compiled, record, calendars, ahead, start, absence.end)
    return {name: count for name, count in found.items() if count > 0}


def _missed(
    c: CompiledSpec,
    record: TaskRecord,
    calendars: Calendars,
    ahead: list[Stretch],
    start: datetime,
    end: datetime,
) -> int:
    """Let every occasion of [start, end) be taken and count them."""
    before, at, count, left = record, start, 0, ahead
    while at < end and count < MOST_COUNTED:
        while left[0].end <= at:
            left = left[1:]
        found = timing(c, at, calendars, left, record)
        until = found.valid_until
        if found.slot is not None:
            count += found.slot.slot != SETUP_SLOT  # which waits for its first success, whenever that is
            record = _taken(record, found.slot, at)
            if c.every is not None:
                # Its grid goes on to the end of its place.
                until = min(end, find_place(c, at, calendars, left).valid_until)
                count += max(0, -((found.slot.since - until) // c.every) - 1)
        at = max(until, at + MOMENT)
    last = timing(c, end, calendars, [s for s in ahead if s.end > end], before).slot
    return count - 1 if count and last is not None and last.since < end else count


def _taken(record: TaskRecord, slot: Slot, at: datetime) -> TaskRecord:
    return replace(
        record,
        last_started_at=at,
        last_success_at=at,
        last_slot=slot.at or record.last_slot,
        last_success_period=slot.period or record.last_success_period,
        attempt_cycle=slot.cycle,
        attempt_slot=slot.slot,
        attempts=slot.attempt,
        settled=True,
        not_before=None,
    )


def told(absence: Absence, missed: Mapping[str, int]) -> str:
    """Return an absence in words."""
    seconds = absence.length.total_seconds()
    length = timedelta(minutes=round(seconds / 60)) if seconds >= 300 else timedelta(seconds=round(seconds))
    how = "it had been stopped" if absence.orderly else "it ended without being stopped (crash, power cut)"
    text = (
        f"the daemon was down from {absence.start:%Y-%m-%d %H:%M}Z to {absence.end:%Y-%m-%d %H:%M}Z "
        f"({spoken(length)}): {how}. "
    )
    if not missed:
        return text + "No trading duty was missed."
    named = sorted(missed.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{task} ({_times(count)})" for task, count in named[:MOST_NAMED]]
    rest = len(named) - len(listed)
    return text + f"Duties missed: {', '.join(listed)}{f' and {rest} more' if rest else ''}."


def _times(count: int) -> str:
    if count >= MOST_COUNTED:
        return f"{MOST_COUNTED} times or more"
    return "once" if count == 1 else f"{count} times"
