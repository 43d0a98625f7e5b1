"""How to go on where database, calendar or tasks cannot be read. Values in, words out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import StoreCorrupt
from orchestration.state.backups import list_backups, restore_command, set_aside_command


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do next, and the command that does it."""

    text: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why there is no view. text: in a sentence, with the remedy where that is one thing. steps: what is to
    be done one after the other, or none. is_damage: the database itself is damaged."""

    text: str
    steps: tuple[Step, ...] = ()
    is_damage: bool = False


def problem_of(error: Exception, database: Path | None, backup_dir: Path) -> Problem:
    """Return what `error` means for the person at the box. database: the daemon's, None: on a server."""
    if not isinstance(error, StoreCorrupt) or database is None:
        return Problem(text=str(error))
    return Problem(text=str(error), steps=_way_back(database, backup_dir), is_damage=True)


def _way_back(database: Path, backup_dir: Path) -> tuple[Step, ...]:
    stop = Step(text="Stop the daemon, if it runs.", command="sudo systemctl stop daily-orchestrator")
    start = Step(
        text="Start it again.",
        command="sudo systemctl reset-failed daily-orchestrator && sudo systemctl start daily-orchestrator",
    )
    try:
        kept = list_backups(backup_dir, "performance")
    except OSError as error:
        text = (
            f"{backup_dir} cannot be read ({error.strerror or error}): put that right, the backups lie there."
        )
        return stop, Step(text=text, command=f"ls -l {shlex.quote(str(backup_dir))}")
    if not kept:
        aside = Step(
            text=f"There is no backup in {backup_dir}: begin with an empty history; the old file is kept.",
            command=set_aside_command(database),
        )
        return stop, aside, start
    restore = Step(
        text=(
            "As the daemon's user, put the newest backup in its place. It was looked through when it was "
            "made; `orchestratorctl check` does so again and names the newest that is whole. The damaged "
            "file is kept."
        ),
        command=restore_command(kept[-1], database),
    )
    reconcile = Step(
        text="What was recorded after the backup is missing: compare the broker's orders with yours.",
        command="orchestratorctl reconcile",
    )
    return stop, restore, start, reconcile
