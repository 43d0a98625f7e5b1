"""Session tables and what follows from them: modes, phases, windows, cycles and budgets.

Core: reads no clock, file, environment or logger. Instants are aware UTC, `day` is always a local date of the
exchange, intervals are half open [a, b), hours are elapsed time. The rules are those of docs/calendar.md.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from math import inf
from typing import NamedTuple
from zoneinfo import ZoneInfo

from orchestration.errors import CalendarError
from orchestration.sessions import (
    ALIASES,
    ALWAYS,
    DAY,
    HOME,
    SATURDAY,
    ZONES,
    Override,
    Sessions,
    apply_overrides,
    local_midnight,
    mic,
)
from orchestration.types import (
    MarketCalendar,
    Offsets,
    OperatingMode,
    Phase,
    ResearchBudget,
    Session,
    Stretch,
    TimeWindow,
)

__all__ = ["Calendars", "Override", "Sessions"]


class _Night(NamedTuple):
    """The closed window W(n): [start, end), PREP from `prep`; gap: its first and last gap date."""

    start: datetime
    prep: datetime
    end: datetime
    kind: str
    gap: tuple[date, date] | None


class Calendars:
    """Every exchange's table, and the box's day as the home exchange sets it. Immutable, but for a memory of
    the last answer.

    The box's day is known from 08:00 local of the first session to the close of the last: before and after,
    a neighbour is missing.

    Raises:
        CalendarError: if the home exchange never closes.
    """

    def __init__(
        self, tables: Mapping[str, Sessions], home: str = HOME, offsets: Offsets | None = None
    ) -> None:
        self.tables: Mapping[str, Sessions] = {
            ALWAYS: Sessions(ALWAYS, ZoneInfo("UTC"), always_open=True),
            **{mic(name): table for name, table in tables.items()},
        }
        self.offsets = offsets or Offsets()
        name = mic(home)
        self.home = self.tables.get(name) or Sessions(name, ZoneInfo(ZONES.get(name, "UTC")))
        if self.home.always_open:
            raise CalendarError(f"home exchange {home!r} never closes; name one with a session table")
        self._nights: dict[int, _Night] = {}
        self._last: Stretch | None = None

    def exchange(self, name: str) -> Sessions:
        """Return the table of `name`, a MIC or an alias.

        Raises:
            CalendarError: if there is none, with a suggestion.
        """
        table = self.tables.get(mic(name))
        if table is not None:
            return table
        from difflib import get_close_matches

        if mic(name) in ZONES:
            hint = f"its table is not loaded; run refresh_sessions with --exchange {mic(name)}"
        else:
            near = get_close_matches(name.upper(), [*self.tables, *ALIASES], 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(sorted(self.tables))
        raise CalendarError(f"no session table for exchange {name!r}: {hint}")

    def horizon(self) -> date:
        """Return the last date that the home table covers; `date.min` when it is empty."""
        return self.home.coverage[1] if self.home.coverage else date.min

    def is_holiday(self, day: date) -> bool:
        """Whether `day` is a weekday without a session of the home exchange; False where not known."""
        return self.home.is_holiday(day)

    def is_early_close(self, day: date) -> bool:
        """Whether the home session of `day` closes early; False where there is none or it is not known."""
        session = self.home.on(day)
        return session is not None and session.is_early_close

    def with_overrides(self, overrides: Sequence[Override]) -> Calendars:
        """Return a copy in which the operator's word on dates of the home exchange holds.

        Raises:
            CalendarError: if one cannot be applied, with every problem.
        """
        home = apply_overrides(self.home, overrides)
        return Calendars({**self.tables, self.home.exchange: home}, self.home.exchange, self.offsets)

    def pre(self, session: Session, table: Sessions) -> datetime:
        """Return T(d), 08:00 local of the session's date, or the open where that comes first."""
        return min(session.open, local_midnight(session.day, table.zone, self.offsets.ready_at_minutes))

    def post(self, session: Session) -> datetime:
        """Return the end of POST_MARKET after `session`."""
        return session.close + self.offsets.after_close

    def next_prep(self, after: datetime) -> datetime | None:
        """Return the first start of PREP after the instant `after`; None beyond the table."""
        table = self.home.table
        at = bisect_right(self.home.closes, after)
        if at == 0 and (not table or after < self.pre(table[0], self.home)):
            return None
        starts = (self._night(i).prep for i in range(max(1, at), min(at + 2, len(table))))
        return next((prep for prep in starts if prep > after), None)

    def facts(self, now: datetime) -> MarketCalendar:
        """Return what the home calendar says of `now`; hours_until_trading is infinite beyond the table."""
        home = self.home
        session = home.on(home.local_date(now))
        at = bisect_right(home.opens, now)
        is_open = at > 0 and now < home.closes[at - 1]
        is_known = home.covers(home.local_date(now))
        bell = home.opens[at] if is_known and at < len(home.opens) else None
        return MarketCalendar(
            is_trading_day=session is not None,
            is_early_close=session is not None and session.is_early_close,
            next_trading_day=self._next_trading_day(now, at) if is_known else None,
            hours_until_trading=0.0
            if is_open
            else inf
            if bell is None
            else (bell - now) / timedelta(hours=1),
        )

    def _next_trading_day(self, now: datetime, at: int) -> date | None:
        # T(n) is never after open(n), so the candidates are the next session to open and the one after.
        upcoming = self.home.table[at : at + 2]
        return next((s.day for s in upcoming if self.pre(s, self.home) > now), None)

    def budget(self, now: datetime) -> ResearchBudget:
        """Return the research budget at `now`; all zero where the calendar is not known."""
        return self.stretch(now).budget_at(now)

    def stretch(self, now: datetime) -> Stretch:
        """Return the stretch that contains `now`; `is_known` is False where the table does not reach."""
        last = self._last
        if last is None or not last.start <= now < last.end:
            self._last = last = self._stretch(now)
        return last

    def _stretch(self, now: datetime) -> Stretch:
        at = bisect_right(self.home.closes, now)
        if at == len(self.home.table):
            return self._unknown(now, self.home.closes[-1] if at else None, None)
        session = self.home.table[at]
        if at == 0:
            known_from = self.pre(session, self.home)
            if now < known_from:
                return self._unknown(now, None, known_from)
            return self._of_day(now, at, known_from)
        night = self._night(at)
        if now >= night.end:
            return self._of_day(now, at, night.end)
        if now < night.start:
            before = self.home.table[at - 1]
            window = TimeWindow(Phase.POST_MARKET, before.close, night.start, before.day)
            return _stretch_of(window, OperatingMode.TRADING, session.day, night)
        return self._of_night(now, session.day, night)

    def _of_day(self, now: datetime, at: int, ready: datetime) -> Stretch:
        session = self.home.table[at]
        if at + 1 < len(self.home.table):
            night = self._night(at + 1)
        else:
            night = _Night(session.close, session.close, session.close, "overnight", None)
        if now < session.open:
            window = TimeWindow(Phase.PRE_MARKET, ready, session.open, session.day)
            return _stretch_of(window, OperatingMode.PREP, session.day, night)
        window = TimeWindow(Phase.MARKET_OPEN, session.open, session.close, session.day)
        return _stretch_of(window, OperatingMode.TRADING, session.day, night)

    def _of_night(self, now: datetime, cycle: date, night: _Night) -> Stretch:
        window = self._phase_window(now, cycle, night)
        assert window.start is not None
        assert window.end is not None
        if now < night.prep:
            end = min(window.end, night.prep)
            return _stretch_of(window, OperatingMode.RESEARCH, cycle, night, window.start, end)
        return _stretch_of(
            window, OperatingMode.PREP, cycle, night, max(window.start, night.prep), window.end
        )

    def _phase_window(self, now: datetime, cycle: date, night: _Night) -> TimeWindow:
        if night.gap is None:
            return TimeWindow(Phase.OVERNIGHT, night.start, night.end, cycle)
        first, last = night.gap
        low = high = min(max(self.home.local_date(now), first), last)
        is_weekend = low.weekday() >= SATURDAY
        while low > first and ((low - DAY).weekday() >= SATURDAY) == is_weekend:
            low -= DAY
        while high < last and ((high + DAY).weekday() >= SATURDAY) == is_weekend:
            high += DAY
        # The first gap date reaches back to the window's start, the last one on to its end.
        start = night.start if low == first else max(night.start, local_midnight(low, self.home.zone))
        end = night.end if high == last else min(night.end, local_midnight(high + DAY, self.home.zone))
        return TimeWindow(Phase.WEEKEND if is_weekend else Phase.HOLIDAY, start, end, cycle)

    def _night(self, at: int) -> _Night:
        """Return W(n) before the session at index `at`, which has a predecessor."""
        night = self._nights.get(at)
        if night is None:
            night = self._nights[at] = self._new_night(self.home.table[at - 1], self.home.table[at])
        return night

    def _new_night(self, before: Session, session: Session) -> _Night:
        first, last = before.day + DAY, session.day - DAY
        weekdays = [(first + i * DAY).weekday() for i in range((last - first).days + 1)]
        has_weekend = any(w >= SATURDAY for w in weekdays)
        kind = "overnight"
        if weekdays and not has_weekend:
            kind = "holiday"
        elif has_weekend:
            kind = "weekend" if all(w >= SATURDAY for w in weekdays) else "holiday_weekend"
        offsets = self.offsets
        lead = offsets.prep_after_weekend if has_weekend else offsets.prep_after_night
        end = max(before.close, self.pre(session, self.home))
        start = min(self.post(before), end)
        return _Night(start, max(start, end - lead), end, kind, (first, last) if weekdays else None)

    def _unknown(self, now: datetime, after: datetime | None, before: datetime | None) -> Stretch:
        """Return the local day of `now`, cut where knowledge ends (`after`) or begins (`before`)."""
        zone = self.home.zone
        day = self.home.local_date(now)
        start, end = local_midnight(day, zone), local_midnight(day + DAY, zone)
        start = start if after is None else max(start, after)
        end = end if before is None else min(end, before)
        phase = Phase.WEEKEND if day.weekday() >= SATURDAY else Phase.OVERNIGHT
        nothing = _Night(end, end, end, "overnight", None)
        window = TimeWindow(phase, start, end, day)
        return _stretch_of(window, OperatingMode.RESEARCH, day, nothing, is_known=False)


def _stretch_of(
    window: TimeWindow,
    mode: OperatingMode,
    cycle: date,
    night: _Night,
    start: datetime | None = None,
    end: datetime | None = None,
    is_known: bool = True,
) -> Stretch:
    """Return the stretch [start, end) of `window`; None: the whole window."""
    start, end = start or window.start, end or window.end
    assert start is not None
    assert end is not None
    return Stretch(
        start=start,
        end=end,
        mode=mode,
        phase=Phase(window.phase),
        window=window,
        cycle=cycle,
        research_start=night.start,
        prep_start=night.prep,
        research_end=night.end,
        budget_type=night.kind,
        is_known=is_known,
    )
