"""What `orchestratorctl calendar` and `orchestratorctl when` answer, as JSON-ready values.

Streams (`--at -`, `--date -`) answer one JSON object per line in one process; a bad line is answered with
`{"error": ...}` and makes the status 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from math import isinf
from typing import TextIO

from orchestration.errors import CalendarError, WhenError
from orchestration.market_calendar import Calendars
from orchestration.sessions import HOME, Sessions, mic
from orchestration.windows import (
    InstantExpr,
    check_breaks,
    instant_on,
    parse_instant,
    parse_window,
    window_on,
)

Answer = dict[str, object]
MARGIN = timedelta(days=400)
"""How much more than asked is compiled, so that neighbours of the asked days are known too."""


def iso_z(instant: datetime) -> str:
    """Return `instant` as UTC text, e.g. `2026-11-27T18:00:00Z`."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def calendar_answer(calendars: Calendars, at: datetime) -> Answer:
    """Return mode, phase, window and budget at `at`, an aware instant.

    What the session table does not know is null and `calendar_known` is false.
    """
    stretch = calendars.stretch(at)
    facts = calendars.facts(at)
    budget = stretch.budget_at(at)
    known = stretch.is_known
    return {
        "at": iso_z(at),
        "mode": stretch.mode.value,
        "phase": stretch.phase.value,
        "cycle": stretch.cycle.isoformat(),
        "calendar_known": known,
        "is_trading_day": facts.is_trading_day,
        "is_early_close": facts.is_early_close,
        "is_market_open": facts.is_market_open,
        "next_trading_day": facts.next_trading_day and facts.next_trading_day.isoformat(),
        "hours_until_trading": None if isinf(facts.hours_until_trading) else facts.hours_until_trading,
        "total_hours": budget.total_hours,
        "research_hours": budget.research_hours,
        "budget_type": budget.budget_type,
        "is_extended": budget.is_extended,
        "budget_pct_remaining": budget.budget_pct_remaining,
        "window_start": iso_z(stretch.research_start) if known else None,
        "prep_start": iso_z(stretch.prep_start) if known else None,
        "window_end": iso_z(stretch.research_end) if known else None,
    }


def when_answer(calendars: Calendars, spec_text: str, day: date, exchange: str = HOME) -> Answer:
    """Return the intervals of a window expression on `day`, or why there is none.

    An instant expression (as of `at`) gives one interval whose start and end are the instant.

    Raises:
        WhenError: if the expression cannot be read, or names a break that the exchange does not have.
        CalendarError: if the exchange is not known.
    """
    table = calendars.exchange(exchange)
    if ".." not in spec_text:
        return _instant_answer(parse_instant(spec_text.strip()), day, table, calendars)
    expr = parse_window(spec_text.strip())
    check_breaks(expr, table)
    intervals, reason = window_on(expr, day, table, calendars)
    shown = [{"start": iso_z(i.start), "end": iso_z(i.end)} for i in intervals]
    return {"intervals": shown, "reason": reason}


def _instant_answer(expr: InstantExpr, day: date, table: Sessions, calendars: Calendars) -> Answer:
    check_breaks(expr, table)
    instant, reason = instant_on(expr, day, table, calendars)
    shown = [] if instant is None else [{"start": iso_z(instant), "end": iso_z(instant)}]
    return {"intervals": shown, "reason": reason}


def parse_at(text: str) -> datetime:
    """Return the instant that `text` names.

    Raises:
        ValueError: if it is not an ISO date and time with a zone.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an instant; write e.g. 2026-11-27T18:00:00Z") from None
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no zone; write {text}Z or an offset such as {text}-05:00")
    return instant


def parse_day(text: str) -> date:
    """Return the date that `text` names.

    Raises:
        ValueError: if it is not a date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date; write YYYY-MM-DD") from None


YEARS = (1990, 2060)
"""Where the package's rules are worth asking."""

Widen = Callable[[Calendars, date], Calendars]
"""Returns calendars that know a date, where they can be had (see `calendars_for`)."""


def answer_instants(
    calendars: Calendars, lines: Iterable[str], out: TextIO, widen: Widen | None = None
) -> int:
    """Answer each line of `lines`, an instant, with one JSON line on `out`; return 0, or 1 if one was bad.

    Empty lines are passed over. widen: asked once for each instant the table does not know.
    """

    def answer(line: str) -> Answer:
        nonlocal calendars
        at = parse_at(line)
        if widen is not None and not calendars.stretch(at).is_known:
            calendars = widen(calendars, calendars.home.local_date(at))
        return calendar_answer(calendars, at)

    return _answer_lines(lines, out, answer)


def answer_dates(
    calendars: Calendars,
    lines: Iterable[str],
    out: TextIO,
    exchange: str = HOME,
    widen: Widen | None = None,
) -> int:
    """Answer each line of `lines`, `DATE SPEC`, with one JSON line on `out`; return 0, or 1 if one was bad.

    widen: asked for each date that the exchange's table does not cover.
    """

    def answer(line: str) -> Answer:
        nonlocal calendars
        text, _, spec = line.partition(" ")
        day = parse_day(text)
        if not spec.strip():
            raise ValueError(f"{line!r} has no expression; write DATE SPEC, e.g. 2026-11-27 open..close")
        table = calendars.tables.get(mic(exchange))
        if widen is not None and (table is None or not table.covers(day)):
            calendars = widen(calendars, day)
        return when_answer(calendars, spec.strip(), day, exchange)

    return _answer_lines(lines, out, answer)


def _answer_lines(lines: Iterable[str], out: TextIO, answer: Callable[[str], Answer]) -> int:
    status = 0
    for line in lines:
        text = line.strip()
        if not text:
            continue
        try:
            reply = answer(text)
        except (ValueError, OverflowError, CalendarError, WhenError) as error:
            reply, status = {"error": str(error)}, 1
        out.write(json.dumps(reply) + "\n")
    return status


def calendars_for(exchange: str, first: date, last: date, stored: Calendars) -> Calendars:
    """Return `stored`, or a copy in which `exchange` is known from `first` to `last`.

    Years outside YEARS are left unknown. What is missing is compiled with pandas_market_calendars (about a
    second; never in the daemon). Stored sessions, and with them the operator's overrides, win over compiled
    ones.

    Raises:
        CalendarError: if the package does not know the exchange.
    """
    name = mic(exchange)
    table = stored.tables.get(name)
    if table is not None and table.covers(first) and table.covers(last):
        return stored
    if first.year < YEARS[0] or last.year > YEARS[1]:
        return stored
    from orchestration.ctl.compile_sessions import compile_sessions

    known = table.coverage if table is not None else None
    start = min(first, known[0] if known else first) - MARGIN
    end = max(last, known[1] if known else last) + MARGIN
    compiled, zone = compile_sessions(name, start, end)
    kept = [s for s in compiled if known is None or not known[0] <= s.day <= known[1]]
    whole = Sessions(name, zone, [*kept, *(table.table if table is not None else ())], (start, end))
    return Calendars({**stored.tables, name: whole}, stored.home.exchange, stored.offsets)
