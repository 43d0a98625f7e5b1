"""What became of a run that an earlier daemon left behind, told from its directory and from /proc.

"Never started" is said only where it is certain. Neither the directory nor `started` is forced to disk at a
start (it would cost a write per run), so after a power cut their absence proves nothing: the boot in which
the last daemon worked is kept on disk, and a run of another boot is lost, not unstarted.
"""

from __future__ import annotations

import os
import select
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestration.ports import Fate, RunExit
from orchestration.processes import all_processes, read_text, run_members, send_signal, uptime_s
from orchestration.run_files import VOID_LOST, VOID_NEVER, RunFiles, sync_directory

TERM_WAIT_MS, KILL_WAIT_MS, LOOK_MS = 1000, 5000, 20


class BootMark:
    """The boot in which a daemon last worked with these runs."""

    def __init__(self, runs_dir: Path, boot: str) -> None:
        self._path = runs_dir / "boot"
        self._boot = boot
        self._written = (read_text(str(self._path)) or "").strip() == boot
        self.is_same_boot = self._written

    def write(self) -> None:
        """Say that it is this boot, once the runs of an older one have been judged. Raises OSError."""
        if self._written:
            return
        os.makedirs(self._path.parent, exist_ok=True)
        fd = os.open(f"{self._path}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, self._boot.encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(f"{self._path}.tmp", self._path)
        sync_directory(self._path.parent)
        self._written = True


def judge(files: RunFiles, boot: str, *, same_boot: bool) -> Fate:
    """Return what became of a run; one that never started can no longer start afterwards."""
    if not files.path.is_dir():
        return Fate.NEVER_STARTED if same_boot else Fate.LOST
    if files.ended() is not None:
        return Fate.ENDED
    files.void(VOID_NEVER if same_boot else VOID_LOST)
    for _ in range(KILL_WAIT_MS // LOOK_MS):
        text = files.started_text()
        if text in (VOID_NEVER, VOID_LOST):
            return Fate.NEVER_STARTED if text == VOID_NEVER else Fate.LOST
        if files.supervisor(boot) is not None:
            return Fate.ADOPTED
        if not files.is_locked():
            break
        # Its supervisor lives and is writing `started`, or has written `exit` and is about to end.
        _pause(LOOK_MS)
    return Fate.ENDED if files.ended() is not None else Fate.LOST


def end_remains(files: RunFiles) -> str:
    """End whatever of a run is still there (it must not run beside its next attempt); waits a few seconds at
    most. Returns a line for people, "" if there was nothing."""
    said = files.started()
    leader, start = (said.pid, said.start) if said else (0, 0)
    count = 0
    for waited in range(0, TERM_WAIT_MS + KILL_WAIT_MS, LOOK_MS):
        left = run_members(leader, start, files.marker, all_processes())
        left = left or run_members(leader, start, files.marker, all_processes())
        if not left:
            return f"{count} processes it left behind were ended" if count else ""
        count = max(count, len(left))
        if waited == 0 or waited >= TERM_WAIT_MS:
            for stat in left.values():
                send_signal(stat, signal.SIGTERM if waited == 0 else signal.SIGKILL)
        _pause(LOOK_MS)
    return f"{count} processes survive SIGKILL"


def clear_strangers(runs_dir: Path, known: frozenset[str]) -> None:
    """Remove the directories of runs that are not `known` to be open.

    Their end is recorded (the last daemon died before it could remove them), or the records are older than
    they are (a restored backup): then nothing of them may run on beside a new attempt, and it is ended.
    """
    if not runs_dir.is_dir():
        return
    with os.scandir(runs_dir) as entries:
        strangers = [entry.name for entry in entries if entry.name not in known and entry.is_dir()]
    for name in strangers:
        files = RunFiles(runs_dir / name)
        files.void(VOID_NEVER)
        end_remains(files)
        files.remove()


def exit_left_behind(run_id: str, files: RunFiles, boot: str, now: datetime) -> RunExit:
    """Return how a run ended while nobody watched; exit_code None if nothing says so."""
    record, said = files.ended(), files.started()
    ended_at, duration_s = now, None
    if record is not None:
        if said is not None:
            duration_s = max(0.0, record.uptime_s - said.uptime_s)
        if said is not None and said.boot == boot:
            ended_at = now - timedelta(seconds=max(0.0, uptime_s() - record.uptime_s))
        else:
            ended_at = datetime.fromtimestamp(os.stat(files.path / "exit").st_mtime, UTC)
    killed = files.noted("killed")
    report, complaint = files.report()
    remains = end_remains(files) if said is None or said.boot == boot else ""
    lost = "" if record else "lost: it ended without a record (power cut, or its supervisor was killed)"
    notes = (str(killed.get("detail", "")), lost, remains, complaint)
    peak = files.noted("peak").get("peak_mb")
    return RunExit(
        run_id=run_id,
        exit_code=record.exit_code if record else None,
        ended_at=ended_at,
        duration_s=duration_s,
        peak_memory_mb=float(peak) if isinstance(peak, int | float) else None,
        out_of_memory=killed.get("memory") is True,
        stop_cause=files.stop_cause(),
        report=report,
        detail="; ".join(note for note in notes if note),
    )


def _pause(milliseconds: int) -> None:
    select.poll().poll(milliseconds)
