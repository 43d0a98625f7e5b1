"""What `--simulate` understands on the command line. Light: the daemon reads it at every start."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from orchestration.policies import POLICIES

MOST_DAYS = 3660
LAST_YEAR = date.max.year - 11
"""The longest stretch from there is still made of dates."""
ALL_POLICIES = "all"
OPTIONS = ("days", "seed", "policy", "ablations", "report", "week", "jobs", "tasks", "history")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options that go with `--simulate`."""
    group = parser.add_argument_group("with --simulate")
    group.add_argument("--days", metavar="N", type=_days, help="how many days (7, or the year)")
    group.add_argument("--seed", type=int, default=1, help="of the simulated durations and failures (1)")
    group.add_argument(
        "--policy",
        choices=(*POLICIES, ALL_POLICIES),
        help="under which policy (the one that the environment sets)",
    )
    group.add_argument("--ablations", action="store_true", help="also unified without each of its parts")
    group.add_argument("--report", metavar="DIR", type=Path, help="write report.json and report.html there")
    group.add_argument(
        "--week", metavar="DATE", type=_date, help="the week whose timeline is in the report (the first)"
    )
    group.add_argument("--jobs", metavar="N", type=_jobs, default=1, help="policies simulated at once (1)")
    source = group.add_mutually_exclusive_group()
    source.add_argument("--tasks", metavar="FILE", type=Path, help="run a recorded trace (CSV) instead")
    source.add_argument(
        "--history", metavar="DB", type=Path, help="let tasks take what they took in this performance.db"
    )


def refuse_stray(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with code 2 where options of a simulation are given and none is asked for: without --simulate the
    daemon itself would start."""
    if options.simulate:
        return
    stray = [name for name in OPTIONS if getattr(options, name) != parser.get_default(name)]
    if stray:
        names = ", ".join(f"--{name}" for name in stray)
        parser.error(f"{names}: only with --simulate DAY")


def day_or_year(text: str) -> str:
    """Return an argument that is a date or a year."""
    is_year = len(text) == 4 and text.isdecimal()
    try:
        day = date.fromisoformat(f"{text}-01-01" if is_year else text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write YYYY-MM-DD or YYYY") from None
    if day.year > LAST_YEAR:
        raise argparse.ArgumentTypeError(f"{text!r} is too far ahead; {LAST_YEAR} is the last year")
    return text if is_year else day.isoformat()


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write YYYY-MM-DD") from None


def _days(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= MOST_DAYS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 to {MOST_DAYS}")
    return int(text)


def _jobs(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes, 1 or more")
    return int(text)
