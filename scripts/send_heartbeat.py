"""Tell a place elsewhere that the box is alive and its duties are on time, so that a dead box is noticed.

The address comes from the credential `heartbeat_url`, else from ORCHESTRATOR_HEARTBEAT_URL: it is asked for
while all is well, and ADDRESS/fail is told in a line what is not (as healthchecks.io understands it). The
daemon starts this after a completed turn, so a dead box and a hung loop are silence; so is a state that
cannot be told. Standard library only.

Exit codes: 0 told, or it could not be (the silence tells); 2 wrong arguments or settings.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing, suppress
from datetime import datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from observability.alert_addresses import find_secret
from orchestration.clock import SystemClock
from orchestration.state.backups import connect_readonly
from orchestration.task_specs import TASK_SPECS
from orchestration.types import TaskCategory
from scripts._job import finish, now, parse, parser

SECRET, SETTING = "heartbeat_url", "ORCHESTRATOR_HEARTBEAT_URL"
TIMEOUT_S, PAUSE_S, TRIES = 10.0, 1.0, 2

LATELY = timedelta(minutes=10)
"""How far back a late start of a duty is told: by the next two heartbeats."""

ABOUT_ALL = frozenset({"store", "clock", "no_session"})
"""The alerts during which no trading duty starts."""

ABOUT_TASKS = frozenset({"deadline", "late", "unknown", "failed", "quarantined"})
"""The kinds of alerts that tell of a task not done; the task is named after the colon."""

TRADING = frozenset({TaskCategory.TRADING, TaskCategory.RISK})
DUTIES = {spec.name: spec for spec in TASK_SPECS if spec.is_duty and spec.category in TRADING}
NO_DUTIES = frozenset(spec.name for spec in TASK_SPECS if not spec.is_duty)
"""A task of the person's own counts as a duty: its alerts are told."""


class UntoldError(Exception):
    """It cannot be told how the box is; the text says why."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    state_dir: Path = parse(made, argv).state_dir
    url = find_secret(os.environ, SECRET, SETTING)
    if not url.startswith(("http://", "https://")):
        return finish(0, {}, f"no web address is set: {SETTING} says where the heartbeat goes")
    try:
        wrong = troubles(state_dir / "performance.db", now(), os.environ.get("ORCHESTRATOR_RUN_ID"))
    except UntoldError as error:
        return finish(0, {"told": None, "why": str(error)}, f"no heartbeat: {error}")
    problem = ping(url, "\n".join(wrong))
    report = {"told": "failing" if wrong else "fine", "wrong": wrong, "problem": problem}
    said = f"heartbeat: {'; '.join(wrong) or 'all is well'}{f' (not taken: {problem})' if problem else ''}"
    return finish(0, report, said)


# --- how the box is ---------------------------------------------------------------------------------------


def troubles(database: Path, instant: datetime, run_id: str | None) -> list[str]:
    """Return what is not as it should be, a line each; none: the duties are on time and the store keeps.

    run_id: this job's own run, which the daemon has committed if it commits anything; None: started by hand.
    Raises UntoldError.
    """
    if not database.exists():
        raise UntoldError(f"there is no {database.name}")
    try:
        with closing(connect_readonly(database)) as connection:
            own = connection.execute("SELECT 1 FROM task_runs WHERE run_id = ?", (run_id,)).fetchone()
            lost = [] if run_id is None or own else ["the daemon's state is not being written"]
            return [*lost, *_alerts(connection), *_late_starts(connection, instant)]
    except sqlite3.OperationalError as error:
        raise UntoldError(f"{database.name} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        return [f"the daemon's database is damaged: {error}"]


def _alerts(connection: sqlite3.Connection) -> list[str]:
    """Return the alerts that stand about duties, and about what none starts without."""
    rows = connection.execute("SELECT key, text FROM alerts WHERE cleared_at IS NULL ORDER BY id")
    return [f"{key}: {text}"[:200] for key, text in rows if key in ABOUT_ALL or _is_of_a_duty(key)]


def _is_of_a_duty(key: str) -> bool:
    kind, _, rest = key.partition(":")
    task = rest.partition(":")[0]
    if kind not in ABOUT_TASKS or task in NO_DUTIES:
        return False
    # A deadline or an unknown end is told of whatever has one, a failure only of what trades.
    return kind not in ("failed", "quarantined") or task in DUTIES


def _late_starts(connection: sqlite3.Connection, instant: datetime) -> list[str]:
    """Return which duties' newest runs began later than they tolerate."""
    query = """SELECT task, slot, started_at FROM task_runs WHERE task = ? AND attempt = 1
        AND started_at IS NOT NULL AND planned_at >= ? ORDER BY planned_at DESC LIMIT 1"""
    found = []
    for name, spec in DUTIES.items():
        since = (instant - LATELY).strftime("%Y-%m-%dT%H:%M:%S")
        for task, slot, started in connection.execute(query, (name, since)):
            with suppress(ValueError):  # `once` and `manual:...` are no instants
                late = datetime.fromisoformat(started) - datetime.fromisoformat(slot)
                if late > spec.tolerance:
                    found.append(f"{task} of {slot} began {late.total_seconds():.0f} s late")
    return found


# --- telling ----------------------------------------------------------------------------------------------


def ping(url: str, wrong: str, timeout_s: float = TIMEOUT_S) -> str | None:
    """Ask for the address, or tell ADDRESS/fail what is wrong; return why it was not taken, None if it was.

    Twice at most. The address is a secret and is not repeated.
    """
    clock, problem = SystemClock(), ""
    request = Request(_failing(url), wrong.encode(), method="POST") if wrong else Request(url)
    for attempt in range(TRIES):
        clock.sleep(PAUSE_S if attempt else 0.0)
        try:
            with urlopen(request, timeout=timeout_s):
                return None
        except HTTPError as error:
            problem = f"it answered {error.code}"
            error.close()
        except (OSError, HTTPException, ValueError) as error:
            problem = f"it was not reached ({type(error).__name__})"
    return problem


def _failing(url: str) -> str:
    """Return the address that is told of trouble, with the query kept in its place."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/fail").geturl()


if __name__ == "__main__":
    sys.exit(main())
