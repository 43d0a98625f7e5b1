"""Write the report of a trading day: what ran, what waited and why, data, alerts, the box.

It covers the time from two hours after the previous close to now (with --day: to two hours after that day's
close) and is written to reports/YYYY-MM-DD.md and .html in the state directory. Exit codes: 0 written;
1 it could not be written; 2 wrong arguments.
"""

from __future__ import annotations

import sys
from datetime import date, datetime, timedelta
from pathlib import Path

from scripts._job import finish, now, parse
from scripts._report import compose, write_report
from scripts._report_inputs import Days, gather, known_days, report_parser


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = report_parser(__doc__, "a date as 2026-11-20 (default: the last trading day)")
    arguments, instant = parse(made, argv), now()
    state_dir: Path = arguments.state_dir
    days = known_days(made, state_dir, instant)
    day, since, until = period(days, instant, arguments.day)
    if since >= instant:
        made.error(f"--day {day} has not begun yet")
    inputs = gather(state_dir, arguments.data_dir, days, since, until, instant)
    document = compose(f"Daily report, {day:%A} {day}", inputs, with_timeline=True)
    try:
        paths = write_report(document, state_dir / "reports", day.isoformat())
    except OSError as error:
        return finish(1, {"error": str(error)}, f"daily_report: cannot be written ({error})")
    report = {"day": day, "markdown": paths[0], "html": paths[1], "runs": len(inputs.facts.runs)}
    return finish(0, report, f"written: {paths[0]} and {paths[1].name}")


def period(days: Days, instant: datetime, wanted: date | None) -> tuple[date, datetime, datetime]:
    """Return the report's day and the stretch it covers.

    Without a trading day to go by, the day is New York's date and the stretch its 24 hours, up to `instant`.
    """
    day = wanted or days.last_opened(instant) or days.local_date(instant)
    session, before = days.on(day), days.before(day)
    if session is None or before is None:
        start = days.midnight(day)
        return day, start, min(instant, start + timedelta(days=1))
    end = instant if wanted is None else min(instant, session.close + days.after_close)
    return day, before.close + days.after_close, end


if __name__ == "__main__":
    sys.exit(main())
