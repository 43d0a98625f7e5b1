"""Where session tables come from: the shipped list, the refresh job's report, the operator's overrides, the
broker. Reads files; the rules themselves are in `market_calendar`. Light: standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestration.errors import CalendarError
from orchestration.market_calendar import Calendars
from orchestration.sessions import HOME, SATURDAY, ZONES, Override, Sessions, mic
from orchestration.types import Offsets, Session

SHIPPED = Path(__file__).parent / "data" / "xnys_sessions.csv"
HORIZON = timedelta(days=30)
"""A new table that reaches less far is refused; the one in use is warned about."""
LONGEST_BREAK = timedelta(days=14)
"""No exchange of ZONES closes longer (JPX closed ten days in May 2019); a wider hole is missing data."""

KNOWN_DATES: Mapping[str, str] = {
    # NYSE's own announcements: the local close, or "closed". 2025-01-09 was a national day of mourning;
    # 2027-12-24 is Christmas observed, and 2027-12-31 is open, as New Year's Day 2028 is a Saturday.
    "2024-11-29": "13:00",
    "2025-01-09": "closed",
    "2025-07-03": "13:00",
    "2025-07-04": "closed",
    "2025-11-28": "13:00",
    "2025-12-24": "13:00",
    "2025-12-25": "closed",
    "2026-04-03": "closed",
    "2026-07-02": "16:00",
    "2026-07-03": "closed",
    "2026-11-26": "closed",
    "2026-11-27": "13:00",
    "2026-12-24": "13:00",
    "2026-12-25": "closed",
    "2027-03-26": "closed",
    "2027-06-18": "closed",
    "2027-07-05": "closed",
    "2027-11-26": "13:00",
    "2027-12-23": "16:00",
    "2027-12-24": "closed",
    "2027-12-31": "16:00",
    "2028-07-03": "13:00",
    "2028-07-04": "closed",
    "2028-11-24": "13:00",
    "2028-12-25": "closed",
}
_TIME = re.compile(r"(\d{1,2}):(\d{2})")


def load_shipped() -> tuple[Session, ...]:
    """Return the NYSE sessions that come with the package (2025 to 2030)."""
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    return tuple(_shipped(line) for line in lines if not line.startswith("#"))


def _shipped(line: str) -> Session:
    day, start, end, *early = line.split(",")
    return Session(
        exchange=HOME,
        day=date.fromisoformat(day),
        open=datetime.fromisoformat(f"{day}T{start}:00Z"),
        close=datetime.fromisoformat(f"{day}T{end}:00Z"),
        is_early_close=early == ["early"],
    )


def build_calendars(
    stored: Mapping[str, tuple[Session, ...]],
    overrides: Sequence[Override] = (),
    offsets: Offsets | None = None,
    home: str = HOME,
    *,
    today: date,
    broker: str = "",
) -> Calendars:
    """Return the calendars of the stored tables, with the operator's word on the home exchange.

    For XNYS the shipped list stands in when nothing is stored or the stored table does not cover `today`.
    broker: whose stored sessions make a table more careful (`combine_with_broker`), empty: nobody's.

    Raises:
        CalendarError: if a table or an override cannot be used, or an exchange has no known zone.
    """
    tables = {
        name: _with_broker(name, table, stored, broker)[0] for name, table in _tables(stored, today).items()
    }
    built = {name: Sessions(name, zone_of(name), table) for name, table in tables.items()}
    calendars = Calendars(built, home, offsets)
    return calendars.with_overrides(overrides) if overrides else calendars


def disagreements(
    stored: Mapping[str, tuple[Session, ...]],
    overrides: Sequence[Override] = (),
    home: str = HOME,
    *,
    today: date,
    broker: str,
) -> tuple[str, ...]:
    """Return in words where the stored tables and the broker's differ; each begins with its day, in order.

    A day of the home exchange that the operator has spoken of is settled.
    """
    settled = {override.day.isoformat() for override in overrides}
    return tuple(
        sorted(
            line
            for name, table in _tables(stored, today).items()
            for line in _with_broker(name, table, stored, broker)[1]
            if name != mic(home) or line[:10] not in settled
        )
    )


def _tables(stored: Mapping[str, tuple[Session, ...]], today: date) -> dict[str, tuple[Session, ...]]:
    tables = {mic(name): sessions for name, sessions in stored.items() if sessions and "@" not in name}
    sessions = tables.get(HOME, ())
    if not sessions or not sessions[0].day <= today <= sessions[-1].day:
        tables[HOME] = load_shipped()
    return tables


def broker_table(exchange: str, broker: str) -> str:
    """Return the name under which the sessions are stored that `broker` gives for `exchange`."""
    return f"{mic(exchange)}@{broker}"


def _with_broker(
    name: str, table: tuple[Session, ...], stored: Mapping[str, tuple[Session, ...]], broker: str
) -> tuple[tuple[Session, ...], tuple[str, ...]]:
    theirs = [s for s in stored.get(broker_table(name, broker), ()) if table[0].day <= s.day <= table[-1].day]
    return combine_with_broker(table, theirs) if theirs else (table, ())


def zone_of(exchange: str) -> ZoneInfo:
    """Return the zone of `exchange`, a MIC or an alias.

    Raises:
        CalendarError: if it is not known.
    """
    name = mic(exchange)
    if name not in ZONES:
        raise CalendarError(
            f"no zone is known for exchange {exchange!r}; known are {', '.join(sorted(ZONES))}"
        )
    return ZoneInfo(ZONES[name])


def accept(new: Sequence[Session], old: Sequence[Session], today: date) -> None:
    """Accept `new`, the sorted sessions of one exchange, in place of `old` (empty: there is none).

    Raises:
        CalendarError: with every problem: `today` or the next 30 days not covered, a hole, a date that is
            known to be otherwise, or a past day that differs from the old table.
    """
    if not new:
        raise CalendarError("the new session table is empty; the old one stays")
    problems = [*_coverage_problems(new, today), *_known_date_problems(new), *_past_problems(new, old, today)]
    if problems:
        name = new[0].exchange
        raise CalendarError("\n".join(f"new session table of {name} refused: {p}" for p in problems))


def _coverage_problems(new: Sequence[Session], today: date) -> list[str]:
    problems = []
    first, last = new[0].day, new[-1].day
    if first > today:
        problems.append(f"it begins on {first}, after today ({today})")
    if last < today + HORIZON:
        problems.append(f"it ends on {last}; it must reach {today + HORIZON}")
    for earlier, later in pairwise(new):
        if later.day - earlier.day > LONGEST_BREAK:
            problems.append(f"no session between {earlier.day} and {later.day}")
    return problems


def _known_date_problems(new: Sequence[Session]) -> list[str]:
    if new[0].exchange != HOME:
        return []
    zone = zone_of(HOME)
    closes = {s.day: f"{s.close.astimezone(zone):%H:%M}" for s in new}
    wrong = [
        f"{day} is {closes.get(day, 'closed')}, but is known to be {known}"
        for day, known in ((date.fromisoformat(text), known) for text, known in KNOWN_DATES.items())
        if new[0].day <= day <= new[-1].day and closes.get(day, "closed") != known
    ]
    return wrong + [f"{day} is a {day:%A}" for day in closes if day.weekday() >= SATURDAY]


def _past_problems(new: Sequence[Session], old: Sequence[Session], today: date) -> list[str]:
    if not old:
        return []
    first = max(new[0].day, old[0].day)
    last = min(new[-1].day, old[-1].day, today - timedelta(days=1))
    was = {s.day: s for s in old if first <= s.day <= last}
    now = {s.day: s for s in new if first <= s.day <= last}
    return [
        f"the past day {day} was {_hours(was.get(day))} and would be {_hours(now.get(day))}"
        for day in sorted(was.keys() | now.keys())
        if _hours(was.get(day)) != _hours(now.get(day))
    ]


def _hours(session: Session | None) -> str:
    return "closed" if session is None else f"{session.open:%H:%M}-{session.close:%H:%M} UTC"


def combine_with_broker(
    sessions: Sequence[Session], broker_sessions: Sequence[Session]
) -> tuple[tuple[Session, ...], tuple[str, ...]]:
    """Return `sessions` made careful by the broker's, and each disagreement in words.

    Only dates from the broker's first to its last session are compared. Closed wins over open, the later open
    and the earlier close win.

    Raises:
        CalendarError: if the broker named no session: a fault, not a holiday.
    """
    if not broker_sessions:
        raise CalendarError("the broker's calendar is empty; that is a fault of the broker or the request")
    broker = {s.day: s for s in broker_sessions}
    first, last = min(broker), max(broker)
    kept: list[Session] = []
    disagreements: list[str] = []
    for ours in sessions:
        theirs = broker.pop(ours.day, None)
        if _hours(theirs) == _hours(ours) or not first <= ours.day <= last:
            kept.append(ours)
            continue
        disagreements.append(f"{ours.day}: table {_hours(ours)}, broker {_hours(theirs)}")
        if theirs is not None:
            careful = _careful(ours, theirs)
            kept.extend([careful] if careful.open < careful.close else [])
    disagreements += [f"{day}: table closed, broker {_hours(s)}" for day, s in broker.items()]
    return tuple(kept), tuple(sorted(disagreements))


def _careful(ours: Session, theirs: Session) -> Session:
    return replace(
        ours,
        open=max(ours.open, theirs.open),
        close=min(ours.close, theirs.close),
        is_early_close=ours.is_early_close or theirs.close < ours.close,
    )


def read_overrides(path: Path) -> tuple[Override, ...]:
    """Return the operator's overrides, one per date; none if the file does not exist.

    A line is `date, closed | open=HH:MM | close=HH:MM, reason` in the exchange's local time; open= and close=
    of one date may stand together (`open=10:00 close=13:00`). Empty lines and lines from # are passed over.

    Raises:
        CalendarError: with every problem, one per line: file and line, the value, the remedy.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise CalendarError(
            f"{path}: cannot be read ({error}); make it a readable UTF-8 text file"
        ) from error
    found: dict[date, Override] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            override = _override(line, where)
            if override.day in found:
                raise CalendarError(
                    f"{override.day} was given before ({found[override.day].where}); keep one"
                )
            found[override.day] = override
        except CalendarError as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise CalendarError("\n".join(problems))
    return tuple(found.values())


def _override(line: str, where: str) -> Override:
    parts = [part.strip() for part in line.split(",", 2)]
    if len(parts) < 2:
        raise CalendarError(f"{line.strip()!r} has no second field; write date, closed, reason")
    try:
        day = date.fromisoformat(parts[0])
    except ValueError:
        raise CalendarError(f"{parts[0]!r} is not a date; write YYYY-MM-DD") from None
    reason = parts[2] if len(parts) == 3 else ""
    if parts[1].lower() == "closed":
        return Override(day=day, is_closed=True, reason=reason, where=where)
    times: dict[str, time] = {}
    for word in parts[1].split():
        name, equals, value = word.partition("=")
        if name.lower() not in ("open", "close") or not equals or name.lower() in times:
            raise CalendarError(f"{parts[1]!r} is not understood; write closed, open=HH:MM or close=HH:MM")
        times[name.lower()] = _time_of_day(name, value)
    if not times:
        raise CalendarError("the second field is empty; write closed, open=HH:MM or close=HH:MM")
    return Override(day=day, open=times.get("open"), close=times.get("close"), reason=reason, where=where)


def _time_of_day(name: str, value: str) -> time:
    match = _TIME.fullmatch(value)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise CalendarError(f"{name}={value!r} is not a time of day; write {name}=HH:MM, e.g. close=13:00")
    return time(int(match[1]), int(match[2]))


def accept_broker(sessions: Sequence[Session]) -> None:
    """Accept what a broker says of one exchange, sorted.

    Raises:
        CalendarError: if days are missing, which would close the box's day: a fault, not a holiday.
    """
    if not sessions:
        raise CalendarError("the broker's calendar is empty; that is a fault of the broker or the request")
    for earlier, later in pairwise(sessions):
        if later.day - earlier.day > LONGEST_BREAK:
            raise CalendarError(
                f"the broker's calendar has no session between {earlier.day} and {later.day}; that is a fault"
            )


def broker_sessions_from_report(report: Mapping[str, object]) -> dict[str, tuple[Session, ...]]:
    """Return the broker's sessions in the refresh job's report, by the name they are stored under.

    The report may hold `{"broker": {"name": "alpaca", "sessions": {"XNYS": [row, ...]}}}` with rows as in
    its own `sessions`; without them the broker was not asked, or could not be.

    Raises:
        CalendarError: naming what is wrong.
    """
    told = report.get("broker", {})
    tables = told.get("sessions", {}) if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(tables, dict):
        raise CalendarError(f"report of refresh_sessions: 'broker' is {told!r}, not a name with sessions")
    found = {}
    for exchange, rows in tables.items():
        name = broker_table(str(exchange), str(told.get("name")))
        found[name] = tuple(replace(s, exchange=name) for s in _table(str(exchange), rows))
        accept_broker(found[name])
    return found


def sessions_from_report(report: Mapping[str, object]) -> dict[str, tuple[Session, ...]]:
    """Return the sessions of the refresh job's report, by exchange and sorted.

    The report is `{"sessions": {"XNYS": [[date, open, close, break_start, break_end, early], ...]}}`.

    Raises:
        CalendarError: naming the exchange, the row and what is wrong with it.
    """
    tables = report.get("sessions")
    if not isinstance(tables, dict) or not tables:
        raise CalendarError(f"report of refresh_sessions: 'sessions' is {tables!r}, not a table by exchange")
    return {str(name): _table(str(name), rows) for name, rows in tables.items()}


def _table(exchange: str, rows: object) -> tuple[Session, ...]:
    zone = zone_of(exchange)
    if not isinstance(rows, list) or not rows:
        raise CalendarError(f"report of refresh_sessions: {exchange} has no rows")
    sessions = [_row(exchange, number, row) for number, row in enumerate(rows, 1)]
    return Sessions(mic(exchange), zone, sessions).table


def _row(exchange: str, number: int, row: object) -> Session:
    try:
        if not isinstance(row, list):
            raise TypeError("it is not a list")
        day, start, end, pause, resume, early = row
        if not isinstance(early, bool):
            raise TypeError(f"early close is {early!r}, not true or false")
        return Session(
            exchange=mic(exchange),
            day=date.fromisoformat(day),
            open=_instant(start),
            close=_instant(end),
            break_start=None if pause is None else _instant(pause),
            break_end=None if resume is None else _instant(resume),
            is_early_close=early,
        )
    except (TypeError, ValueError) as error:
        raise CalendarError(
            f"report of refresh_sessions: {exchange} row {number} {row!r} cannot be used: {error}"
        ) from error


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return instant.astimezone(UTC)
