"""What the daemon knows, read beside it: evaluated here from its database, which costs its loop nothing.

To ask it instead takes 30 ms of its loop and two commits, too much for what looks every second or two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import psutil

from orchestration.changes import OpenRun
from orchestration.ctl.box import Box
from orchestration.ctl.desk import Desk, View, evaluate
from orchestration.decisions import Policy
from orchestration.errors import SettingsError, StoreError
from orchestration.halt import FILE_NAME, reason_of
from orchestration.pulse import WRITTEN, last_written
from orchestration.slots import iso
from orchestration.state.history import AlertRow, alerts_open

Used = Callable[[tuple[OpenRun, ...]], Mapping[str, float]]
"""From the open runs to the resident MB of each, by run id."""


def used_by(runs: tuple[OpenRun, ...]) -> dict[str, float]:
    """Return the resident MB of each run's whole process tree, by run id; a run that is gone is left out."""
    found = {}
    for open_ in runs:
        if open_.pid is None:
            continue
        with suppress(psutil.Error):
            supervisor = psutil.Process(open_.pid)
            tree = [supervisor, *supervisor.children(recursive=True)]
            found[open_.run.run_id] = sum(map(_resident_mb, tree))
    return found


def _resident_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.Error:
        return 0.0


def view_beside(desk: Desk, used: Used = used_by) -> View:
    """Return the snapshot's dictionary (see `snapshot.snapshot`) with, beside what `Desk.view` adds:

    panel: what the LEDs show (mode, extended, error), None if no daemon has said it. fault: its error.
    alerts: the open ones, oldest first (see `alert_dict`).
    halted: why trading is halted, or None. complaints: what could not be read and was done without.
    window_start, window_end: of the phase's window. last_seen: the daemon's last sign of life, None while it
    runs or if there is none.

    The box is read anew (`Box.forget`). Not for two threads at once.

    Raises:
        StoreError, CalendarError, SpecError, SettingsError: if there is nothing to show.
    """
    box = desk.box
    box.forget()
    if box.engine is None:
        where = desk.settings.state_dir
        raise StoreError(f"no daemon has run with the state directory {where} yet: nothing to show")
    stored = box.stored
    said = _json(stored.values.get("daemon"))
    policy = _policy(box, said.get("policy"))
    view = evaluate(box, policy, used(stored.open_runs))
    who = desk.daemon.holder()
    view["daemon"] = who and {key: who.get(key) for key in ("pid", "since", "version")}
    view["source"] = "the database"
    view["rung"] = said.get("rung", view["rung"])
    view["panel"] = _json(stored.values.get("panel")) or None
    view["fault"] = view["panel"]["error"] if view["panel"] and who else None
    view["halted"] = reason_of(desk.settings.state_dir / FILE_NAME)
    view["alerts"] = [alert_dict(row) for row in alerts_open(box.engine)]
    view["complaints"] = list(box.complaints)
    window = box.calendars.stretch(datetime.fromisoformat(view["at"])).window
    view["window_start"], view["window_end"] = (at and iso(at) for at in (window.start, window.end))
    seen = None if who else last_written(desk.settings.state_dir)
    view["last_seen"] = seen and iso(seen)
    return view


def _policy(box: Box, called: object) -> Policy:
    """Return the policy the daemon says it has. One that only a newer daemon knows is complained of, and the
    settings' answers."""
    if called:
        try:
            return box.policy_called(str(called))
        except SettingsError:
            own = box.settings.policy_name
            box.complaints.append(
                f"this process does not know the daemon's policy {called!r}: {own} is shown; restart it"
            )
    return box.policy


def stamp(desk: Desk) -> tuple[object, ...]:
    """Return a value that differs after every commit of the daemon, and costs next to nothing."""
    found: list[object] = []
    for name in WRITTEN:
        with suppress(OSError):
            status = (desk.settings.state_dir / name).stat()
            found += [name, status.st_mtime_ns, status.st_size]
    return tuple(found)


def alert_dict(row: AlertRow) -> dict[str, Any]:
    """Return an alert as JSON-ready values."""

    def instant(at: datetime | None) -> str | None:
        return None if at is None else iso(at)

    return {
        "key": row.key,
        "severity": row.severity,
        "text": row.text,
        "task": row.task,
        "raised_at": iso(row.raised_at),
        "acknowledged_at": instant(row.acknowledged_at),
        "cleared_at": instant(row.cleared_at),
    }


def _json(text: str | None) -> dict[str, Any]:
    """Return a JSON object that the daemon has left; empty for none, and for one that cannot be read."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
