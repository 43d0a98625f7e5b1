"""Named points at which a test kills the daemon: between any two of its steps, as a power cut would.

`ORCHESTRATOR_CRASH_AT=spawn.after:2` ends the process with SIGKILL when it passes `spawn.after` for the
second time. The variable is read once, on import, and only tests set it; unset, a point is an empty call.
supervise.sh has two points of its own, which are named in a task's `env`: see SUPERVISOR_POINTS.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from orchestration.errors import SettingsError

VARIABLE = "ORCHESTRATOR_CRASH_AT"

POINTS = (
    "commit.before",
    "commit.after",
    "spawn.before",
    "spawn.directory",
    "spawn.after",
    "reap.after",
    "record.before",
    "record.after",
    "forget.before",
    "forget.after",
)
"""In the order of a run's life. commit: of the plan, and of what has ended; spawn.directory: the run's
directory is there and its process is not; record: around the commit of results."""

SUPERVISOR_POINTS = ("supervisor.started", "supervisor.ended")
"""Between `started` and the job, and between the job's end and `exit`; the number is the run's attempt."""


def _ignore(point: str) -> None:
    """Do nothing: nobody asked for a crash."""


def countdown(text: str, die: Callable[[], object]) -> Callable[[str], None]:
    """Return what is to be called at every point: it calls `die` at the passage that `text` names.

    text: "point:n", n from 1. Raises SettingsError for a point that does not exist: a crash that never comes
    would prove nothing.
    """
    wanted, _, number = text.partition(":")
    if wanted not in POINTS or not number.isdigit() or int(number) < 1:
        raise SettingsError(f"{VARIABLE}={text!r}: expected a point and a number, as {POINTS[0]}:1")
    left = int(number)

    def pass_by(point: str) -> None:
        nonlocal left
        if point == wanted:
            left -= 1
            if left == 0:
                die()

    return pass_by


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_wanted = os.environ.get(VARIABLE, "")
passing: Callable[[str], None] = countdown(_wanted, _die) if _wanted else _ignore
"""Say that a point is passed."""
