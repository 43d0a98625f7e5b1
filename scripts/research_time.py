"""Make docs/research-time.md and its pictures: a year simulated under every policy, and what came of it.

    python -m scripts.research_time
    python -m scripts.research_time --report DIR --seeds 10

The year is simulated by a process of its own with the shipped settings, in folders that are thrown away
afterwards; with --report its report.json is kept in DIR, and one that is there already is used as it is. Then
the year is drawn anew by --seeds seeds, without the tasks of every few minutes (3 s each). Exit codes: 0
written; 1 the simulation failed, or the page could not be written; 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from observability.report_document import Block, Document, Heading, Table, Text, as_markdown
from orchestration.policies.timetable import ENTRIES
from orchestration.simulation.workload import (
    CORE,
    GROWTH,
    LONGEST_TAIL,
    RECURRING_FAILURES,
    RECURRING_SPREAD,
    SPREAD,
    STATED,
    TAIL_SHARE,
    StatedWorkload,
)
from scripts._job import finish
from scripts._year_facts import Figures, Year, read_year
from scripts._year_numbers import named, whole
from scripts._year_page import details, subtitle, summary
from scripts._year_pictures import pictures
from scripts._year_seeds import drawn_years, seeds_section
from scripts.simulation_report import with_pictures, write_pictures
from trading.marketdata.files import replace_file

ROOT = Path(__file__).resolve().parents[1]
YEAR = "2026"
PREFIX = "research-time-"
OPTIONS = f"--simulate {YEAR} --policy all --ablations --report DIR"
TITLE = "A year of research time"

HEAD = f"""# {TITLE}

What the box makes of the hours in which the market is closed: the year {YEAR} under each policy, run by the
real loop and the real `decide()` on a virtual clock. This page and its pictures are made by

    python -m scripts.research_time

which runs

    python daily_orchestrator.py {OPTIONS}

as a process of its own, with the shipped settings and tasks. `report.json` in that folder has every figure of
this page; `python -m scripts.simulation_report DIR/report.json` makes a page of it, of this or of any other
stretch, policy, trace (`--tasks FILE`) or recorded history (`--history DB`).
"""
POLICIES = (
    "timetable: research by the clock, as in the table below; never retried, blind to holidays. phases: the"
    " queue, with priorities, dependencies and memory, within the fixed phases of the day. unified: modes and"
    " research budgets from the calendar, with reservation, backfill, extension and learned estimates."
)
SAME = (
    "All of them get the same tasks, and the same occasion and attempt has the same duration, memory and"
    " failure whatever the policy. Where a task has no figures in the table below, it takes about what its"
    f" spec estimates: log-normal with a spread of {SPREAD} ({RECURRING_SPREAD} for what recurs every few"
    f" minutes), {whole(TAIL_SHARE)} of the runs up to {LONGEST_TAIL:g} times as long, and DATA tasks"
    f" {whole(GROWTH)} longer and larger at the year's end."
)
FAILURES = (
    f"{whole(StatedWorkload().failure_rate)} of all fresh attempts fail at a random point of their time"
    f" ({whole(RECURRING_FAILURES)} of that share for what recurs every few minutes); a failed, killed or"
    " timed-out run counts for nothing."
)
LIMITS = (
    "The workload is stated, not measured: medians and spreads are figures to argue with, and a box whose"
    " jobs are otherwise finds otherwise (--history draws from its own runs).",
    "The filler is taken to have work without end. The real one (docs/research.md) is at its end when each"
    " wide search has 2,000 trials in a quarter; then other opportunistic tasks, or a person's own, use the"
    " hours.",
    "Runs do not slow each other down: a simulated job takes as long beside three others as alone.",
    "Failures come at random and one by one: no power cut, full disk or lost network is simulated here.",
    "The clairvoyant's bound is a relaxation: where a policy does not reach it, nobody may be able to.",
    "An hour counts as used if at least one useful run was going; what the run was worth is not asked.",
)


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    arguments = _parser().parse_args(argv)
    docs: Path = arguments.docs
    try:
        if arguments.report is not None:
            year = _year_in(arguments.report, arguments.jobs)
        else:
            with TemporaryDirectory(prefix="research-time-") as folder:
                year = _year_in(Path(folder), arguments.jobs)
        drawings = pictures(year)
        written = write_pictures(docs / "img", PREFIX, drawings)
        anew = drawn_years(date(int(YEAR), 1, 1), 365, range(1, arguments.seeds + 1))
        made = with_pictures(page(year, anew), "img", PREFIX, drawings)
        replace_file(docs / "research-time.md", made.encode())
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        return finish(1, {"error": str(error)}, f"research_time: {error}")
    written.append(docs / "research-time.md")
    return finish(0, {"written": written}, "written: " + ", ".join(str(path) for path in written))


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--jobs", type=int, default=1, metavar="N", help="policies simulated at once (1)")
    made.add_argument("--seeds", type=int, default=10, metavar="N", help="seeds to draw the year with (10)")
    made.add_argument("--report", type=Path, metavar="DIR", help="where report.json is kept, or is already")
    made.add_argument("--docs", type=Path, metavar="DIR", default=ROOT / "docs", help="where the page goes")
    return made


def _year_in(folder: Path, jobs: int) -> Year:
    """Return the year whose report is in `folder`; if there is none it is simulated first."""
    if not (folder / "report.json").exists():
        _simulate(folder, jobs)
    return read_year(folder / "report.json")


def _simulate(folder: Path, jobs: int) -> None:
    """Simulate the year in a process of its own. Raises CalledProcessError if that fails."""
    options = [str(folder.absolute()) if option == "DIR" else option for option in OPTIONS.split()]
    command = [sys.executable, str(ROOT / "daily_orchestrator.py"), *options, "--jobs", str(jobs)]
    with TemporaryDirectory(prefix="research-time-state-") as state:
        environment = shipped(os.environ, Path(state))
        child = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
        try:
            code = child.wait()
        except BaseException:
            os.killpg(child.pid, signal.SIGTERM)  # its own session: the processes that it has started, too
            child.wait()
            raise
    if code != 0:
        raise subprocess.CalledProcessError(code, command)


def shipped(environment: Mapping[str, str], state: Path) -> dict[str, str]:
    """Return the environment without anybody's own settings, its folders in `state`."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("ORCHESTRATOR_", "USE_TASK_", "USE_UNIFIED_"))
    }
    folders = {f"ORCHESTRATOR_{kind}_DIR": str(state / kind.lower()) for kind in ("STATE", "LOG", "DATA")}
    return {**kept, **folders, "ORCHESTRATOR_BROKER": "paper", "USE_UNIFIED_SCHEDULER": "true"}


def page(year: Year, anew: Mapping[int, Figures]) -> str:
    """Return the page as Markdown, its pictures in words. anew: the year by other seeds."""
    blocks = (*summary(year), *_compared(), *details(year), *seeds_section(anew), *_limits())
    made = Document(title=TITLE, subtitle=subtitle(year), blocks=blocks)
    body = as_markdown(made).removeprefix(f"# {TITLE}\n")
    return HEAD + body


def _compared() -> Iterator[Block]:
    """Yield what is compared: the demand, the workload, the timetable."""
    yield Heading("What is compared")
    yield Text(POLICIES)
    yield Text(SAME)
    yield Text(FAILURES)
    yield Text("What every window asks for, by its kind; what is not finished at its end lapses:")
    asked = tuple((named(kind), ", ".join(tasks)) for kind, tasks in CORE.items())
    yield Table(("Window", "Asked for"), asked)
    yield Text("Minutes that these tasks want (median, and standard deviation of the logarithm):")
    needs = tuple((task, f"{need.minutes:,.0f}", f"{need.spread:g}") for task, need in STATED.items())
    yield Table(("Task", "#Minutes", "#Spread"), needs)
    yield Text("The timetable, by the clock of New York:")
    entries = tuple(
        (task, clock_words(entry.cron), f"{entry.minutes:g} min" if entry.minutes else "its own limit")
        for task, entry in ENTRIES.items()
    )
    yield Table(("Task", "Starts", "At most"), entries)


def clock_words(cron: str) -> str:
    """Return a cron expression of one time on some weekdays in words, as "Mon-Thu 21:30"."""
    minute, hour, _, _, weekdays = cron.split()
    return f"{weekdays.title()} {int(hour):02}:{int(minute):02}"


def _limits() -> Iterator[Block]:
    yield Heading("What this does not show")
    for each in LIMITS:
        yield Text(each)


if __name__ == "__main__":
    sys.exit(main())
