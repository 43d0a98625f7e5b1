"""Cron expressions as pure functions of an instant. Core: no clock, file or environment.

APScheduler's CronTrigger says when the clocks on the wall match. Here its times are taken as naive local
times and then resolved, so that a time in the spring gap fires once, at the first instant after the gap, and
a repeated one fires once, the first time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from orchestration.errors import WhenError
from orchestration.sessions import resolve_local

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

FIELDS = ("minute", "hour", "day", "month", "day_of_week")
TICK = timedelta(microseconds=1)
LOOK_BACK = timedelta(days=400)
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_FAR = datetime(2064, 1, 1, tzinfo=UTC)
"""A weekday on 29 February comes back within 40 years; what does not fire until then never does."""


def check_cron(cron: str) -> None:
    """Check the five fields of `cron`.

    Raises:
        WhenError: naming the field that cannot be used, or saying that the expression never fires.
    """
    _trigger(cron)


def cron_next(cron: str, after: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first instant after `after` at which `cron` fires in `zone`, UTC; None: never again.

    Raises:
        WhenError: if `cron` does not parse.
    """
    return _grid(cron, zone).next(after)


def cron_at_or_before(cron: str, now: datetime, zone: ZoneInfo, look_back: timedelta) -> datetime | None:
    """Return the last instant in (now - look_back, now] at which `cron` fires in `zone`; None: there is none.

    Raises:
        WhenError: if `cron` does not parse.
    """
    last = _grid(cron, zone).at_or_before(now, look_back)
    return last if last is not None and last > now - look_back else None


def cron_previous(
    cron: str, before: datetime, zone: ZoneInfo, look_back: timedelta = LOOK_BACK
) -> datetime | None:
    """Return the last instant before `before`, and within `look_back`, at which `cron` fires; None: none.

    Raises:
        WhenError: if `cron` does not parse.
    """
    return cron_at_or_before(cron, before - TICK, zone, look_back)


class _Grid:
    """The instants of one cron expression in one zone.

    It remembers the last two neighbours it found: a turn of the loop asks about nearly the same instant as
    the turn before, and must not pay for a search each time.
    """

    def __init__(self, cron: str, zone: ZoneInfo) -> None:
        self.trigger = _trigger(cron)
        self.zone = zone
        self._gap: tuple[datetime, datetime] | None = None
        self._around: tuple[datetime, datetime] | None = None

    def next(self, after: datetime) -> datetime | None:
        """Return the first firing after `after`."""
        if self._gap is not None and self._gap[0] <= after < self._gap[1]:
            return self._gap[1]
        found = self._search(after)
        if found is not None:
            self._gap = (after, found)
        return found

    def _search(self, after: datetime) -> datetime | None:
        local = after.astimezone(self.zone).replace(tzinfo=UTC, fold=0)
        while True:
            fires: datetime | None = self.trigger.get_next_fire_time(None, local + TICK)
            if fires is None:
                return None
            instant = resolve_local(fires.replace(tzinfo=None), self.zone)
            if instant > after:
                return instant
            # In the repeated hour the first pass has fired already: look further.
            local = fires

    def at_or_before(self, now: datetime, look_back: timedelta) -> datetime | None:
        """Return the last firing at or before `now`, searching back at least `look_back`."""
        if self._around is not None and self._around[0] <= now < self._around[1]:
            return self._around[0]
        step = timedelta(minutes=2)
        while True:
            found = self.next(now - min(step, look_back))
            if found is not None and found <= now:
                return self._last_up_to(now, found)
            if step >= look_back:
                return None
            step *= 2

    def _last_up_to(self, now: datetime, found: datetime) -> datetime:
        while True:
            later = self.next(found)
            if later is None:
                return found
            if later > now:
                self._around = (found, later)
                return found
            found = later


@lru_cache(maxsize=256)
def _grid(cron: str, zone: ZoneInfo) -> _Grid:
    return _Grid(cron, zone)


@lru_cache(maxsize=256)
def _trigger(cron: str) -> CronTrigger:
    from apscheduler.triggers.cron import CronTrigger

    values = cron.split()
    if len(values) != len(FIELDS):
        raise WhenError(
            f"cron {cron!r} has {len(values)} fields; write five: minute hour day month weekday,"
            " e.g. '30 6 * * mon-fri'"
        )
    for field, value in zip(FIELDS, values, strict=True):
        try:
            CronTrigger(**{field: value}, timezone=UTC)
        except ValueError as error:
            raise WhenError(f"cron {cron!r}: {field.replace('_', ' ')} {value!r}: {error}") from error
    _refuse_numbered_weekdays(cron, values[4])
    trigger = CronTrigger(**dict(zip(FIELDS, values, strict=True)), timezone=UTC)
    trigger.end_date = _FAR
    if trigger.get_next_fire_time(None, _EPOCH) is None:
        raise WhenError(f"cron {cron!r} never fires: no such day exists; change its day or month")
    trigger.end_date = None
    return trigger


def _refuse_numbered_weekdays(cron: str, weekdays: str) -> None:
    """Cron counts weekdays from Sunday = 0, APScheduler from Monday = 0: a number would be a day off."""
    if re.search(r"(?<![/\d])\d", weekdays):
        raise WhenError(
            f"cron {cron!r}: day of week {weekdays!r} is ambiguous, as cron counts from Sunday and"
            " APScheduler from Monday; write names, e.g. 'mon-fri'"
        )
