"""Write the report of a week, Monday to Sunday in New York: runs, failures, research hours used, data.

It is written to reports/YYYY-Www.md and .html in the state directory. Exit codes: 0 written; 1 it could not
be written; 2 wrong arguments.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from scripts._job import finish, now, parse
from scripts._report import compose, write_report
from scripts._report_inputs import gather, known_days, report_parser


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = report_parser(__doc__, "any date of the week (default: today in New York)")
    arguments, instant = parse(made, argv), now()
    state_dir: Path = arguments.state_dir
    days = known_days(made, state_dir, instant)
    day = arguments.day or days.local_date(instant)
    monday = day - timedelta(days=day.weekday())
    since, until = days.midnight(monday), min(instant, days.midnight(monday + timedelta(days=7)))
    if since >= instant:
        made.error(f"the week of {day} has not begun yet")
    inputs = gather(state_dir, arguments.data_dir, days, since, until, instant)
    year, week, _ = day.isocalendar()
    name = f"{year}-W{week:02d}"
    document = compose(f"Weekly report, {name} (from {monday})", inputs, with_timeline=False)
    try:
        paths = write_report(document, state_dir / "reports", name)
    except OSError as error:
        return finish(1, {"error": str(error)}, f"weekly_report: cannot be written ({error})")
    report = {"week": name, "markdown": paths[0], "html": paths[1], "runs": len(inputs.facts.runs)}
    return finish(0, report, f"written: {paths[0]} and {paths[1].name}")


if __name__ == "__main__":
    sys.exit(main())
