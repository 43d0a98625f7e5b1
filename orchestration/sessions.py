"""Session tables: which days an exchange trades, and from when to when. Core: no clock, file or environment.

Instants are aware UTC, `day` is always a local date of the exchange.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from orchestration.errors import CalendarError
from orchestration.types import Session

HOME = "XNYS"
ALWAYS = "24/7"
ALIASES: Mapping[str, str] = {
    "NYSE": "XNYS",
    "NASDAQ": "XNYS",
    "XNAS": "XNYS",
    "JPX": "XTKS",
    "TSE": "XTKS",
    "XJPX": "XTKS",
    "LSE": "XLON",
    "24X7": ALWAYS,
}
ZONES: Mapping[str, str] = {
    "XNYS": "America/New_York",
    "XTKS": "Asia/Tokyo",
    "XLON": "Europe/London",
    "CMES": "America/Chicago",
    "XAMS": "Europe/Amsterdam",
    "XASX": "Australia/Sydney",
    "XBOM": "Asia/Kolkata",
    "XETR": "Europe/Berlin",
    "XFRA": "Europe/Berlin",
    "XHKG": "Asia/Hong_Kong",
    "XKRX": "Asia/Seoul",
    "XMAD": "Europe/Madrid",
    "XMIL": "Europe/Rome",
    "XPAR": "Europe/Paris",
    "XSES": "Asia/Singapore",
    "XSHG": "Asia/Shanghai",
    "XSWX": "Europe/Zurich",
    "XTAI": "Asia/Taipei",
    "XTSE": "America/Toronto",
    ALWAYS: "UTC",
}
"""The zone of each exchange whose sessions can be stored. A new exchange needs its line here."""
DAY = timedelta(days=1)
SATURDAY = 5


def mic(name: str) -> str:
    """Return the exchange's MIC name for `name`, a MIC or an alias in any case."""
    upper = name.strip().upper()
    return ALIASES.get(upper, upper)


@lru_cache(maxsize=4096)
def resolve_local(naive: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which the clocks of `zone` show `naive`.

    A time in the spring gap gives the first instant after the gap; a repeated one gives the first of the two.
    """
    before = naive.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if before.astimezone(zone).replace(tzinfo=None, fold=0) == naive:
        return before
    low, high = naive.replace(tzinfo=zone, fold=1).astimezone(UTC), before
    old_offset = low.astimezone(zone).utcoffset()
    # The change of the clock lies in (low, high]; clocks change on whole seconds.
    low, high = low.replace(microsecond=0), high.replace(microsecond=0) + timedelta(seconds=1)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == old_offset:
            low = middle
        else:
            high = middle
    return high


def local_midnight(day: date, zone: ZoneInfo, minutes: int = 0) -> datetime:
    """Return the instant `minutes` of wall-clock time after midnight of `day` in `zone`."""
    return resolve_local(datetime.combine(day, time()) + timedelta(minutes=minutes), zone)


class Sessions:
    """The session table of one exchange. Immutable.

    covers: the first and last date the table speaks of; None: from the first session to the last.
    always_open: every day is a session from 00:00 to 24:00 local; the table is then not used.

    Raises:
        CalendarError: if a session is not aware, ends before it starts, or overlaps another.
    """

    def __init__(
        self,
        exchange: str,
        zone: ZoneInfo,
        sessions: Iterable[Session] = (),
        covers: tuple[date, date] | None = None,
        always_open: bool = False,
    ) -> None:
        self.exchange = exchange
        self.zone = zone
        self.always_open = always_open
        self.table: tuple[Session, ...] = tuple(sorted(map(_in_utc, sessions), key=lambda s: s.day))
        for earlier, later in pairwise(self.table):
            if earlier.day == later.day or earlier.close > later.open:
                raise CalendarError(
                    f"{exchange}: the sessions of {earlier.day} and {later.day} overlap; give each date once"
                )
        if covers is None and self.table:
            covers = (self.table[0].day, self.table[-1].day)
        self.coverage = covers
        self.days = [s.day for s in self.table]
        self.opens = [s.open for s in self.table]
        self.closes = [s.close for s in self.table]

    @property
    def has_breaks(self) -> bool:
        """Whether any session has a midday break."""
        return any(s.break_start is not None for s in self.table)

    def covers(self, day: date) -> bool:
        """Whether the table speaks of `day` at all."""
        if self.always_open:
            return True
        return self.coverage is not None and self.coverage[0] <= day <= self.coverage[1]

    def on(self, day: date) -> Session | None:
        """Return the session of `day`; None on a closed day and beyond the table."""
        if self.always_open:
            start, end = local_midnight(day, self.zone), local_midnight(day + DAY, self.zone)
            return Session(exchange=self.exchange, day=day, open=start, close=end)
        at = bisect_left(self.days, day)
        return self.table[at] if at < len(self.days) and self.days[at] == day else None

    def next(self, day: date) -> Session | None:
        """Return the first session after `day`; None beyond the table."""
        if self.always_open:
            return self.on(day + DAY)
        at = bisect_right(self.days, day)
        return self.table[at] if at < len(self.days) else None

    def previous(self, day: date) -> Session | None:
        """Return the last session before `day`; None beyond the table."""
        if self.always_open:
            return self.on(day - DAY)
        at = bisect_left(self.days, day)
        return self.table[at - 1] if at > 0 else None

    def count(self, first: date, last: date) -> int:
        """Return the number of sessions from `first` to `last`, both included."""
        if self.always_open:
            return max(0, (last - first).days + 1)
        return max(0, bisect_right(self.days, last) - bisect_left(self.days, first))

    def local_date(self, instant: datetime) -> date:
        """Return the exchange's date at `instant`."""
        return instant.astimezone(self.zone).date()

    def is_holiday(self, day: date) -> bool:
        """Whether `day` is a weekday without a session; False where the table does not speak of it."""
        return day.weekday() < SATURDAY and self.covers(day) and self.on(day) is None


def _in_utc(session: Session) -> Session:
    moments = (session.open, session.break_start, session.break_end, session.close)
    known = [m for m in moments if m is not None]
    if any(m.tzinfo is None for m in known):
        raise CalendarError(f"{session.exchange} {session.day}: times must be aware; store them as UTC")
    if known != sorted(known) or session.open >= session.close:
        raise CalendarError(
            f"{session.exchange} {session.day}: open {session.open:%H:%M}, break and close"
            f" {session.close:%H:%M} (UTC) must follow each other; correct the session"
        )
    if all(m.tzinfo is UTC for m in known):
        return session
    start, pause, resume, end = (m and m.astimezone(UTC) for m in moments)
    assert start is not None
    assert end is not None
    return replace(session, open=start, break_start=pause, break_end=resume, close=end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An operator's word on one date of the home exchange; it wins over every table.

    open, close: local times of the exchange, None: as the table says. where: file and line, for messages.
    """

    day: date
    is_closed: bool = False
    open: time | None = None
    close: time | None = None
    reason: str = ""
    where: str = ""


def apply_overrides(table: Sessions, overrides: Sequence[Override]) -> Sessions:
    """Return `table` with `overrides` applied; those for dates it does not cover change nothing.

    A date that was closed becomes a session if both open and close are given.

    Raises:
        CalendarError: with every problem, one per line.
    """
    by_day = {s.day: s for s in table.table}
    full_close = _regular_close(table)
    problems: list[str] = []
    for override in overrides:
        if not table.covers(override.day):
            continue
        if override.is_closed:
            by_day.pop(override.day, None)
            continue
        try:
            by_day[override.day] = _overridden(table, by_day.get(override.day), override, full_close)
        except CalendarError as error:
            problems.append(f"{override.where + ': ' if override.where else ''}{error}")
    if problems:
        raise CalendarError("\n".join(problems))
    return Sessions(table.exchange, table.zone, by_day.values(), table.coverage, table.always_open)


def _regular_close(table: Sessions) -> time:
    closes = Counter(s.close.astimezone(table.zone).time() for s in table.table if not s.is_early_close)
    return closes.most_common(1)[0][0] if closes else time(16)


def _overridden(table: Sessions, old: Session | None, override: Override, full_close: time) -> Session:
    def at(local: time | None, otherwise: datetime | None) -> datetime:
        if local is not None:
            return resolve_local(datetime.combine(override.day, local), table.zone)
        if otherwise is None:
            raise CalendarError(
                f"{override.day} has no session on {table.exchange}: to open it give both open= and close="
            )
        return otherwise

    start = at(override.open, old.open if old is not None else None)
    end = at(override.close, old.close if old is not None else None)
    if start >= end:
        raise CalendarError(
            f"{override.day} would open at {start.astimezone(table.zone):%H:%M} and close at"
            f" {end.astimezone(table.zone):%H:%M}; open must come first"
        )
    pause = _break_within(old, start, end)
    return Session(
        exchange=table.exchange,
        day=override.day,
        open=start,
        close=end,
        break_start=pause[0],
        break_end=pause[1],
        is_early_close=end.astimezone(table.zone).time() < full_close,
    )


def _break_within(
    session: Session | None, start: datetime, end: datetime
) -> tuple[datetime, datetime] | tuple[None, None]:
    """Return the break of `session` if [start, end) still holds it."""
    if session is None or session.break_start is None or session.break_end is None:
        return None, None
    whole = start <= session.break_start and session.break_end <= end
    return (session.break_start, session.break_end) if whole else (None, None)
