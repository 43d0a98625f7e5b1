"""The daemon's last sign of life, as the time of a file: how long it was away is known also after a crash."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

FILE_NAME = "alive"
"""In the state directory."""
WRITTEN = (FILE_NAME, "performance.db-wal", "performance.db")
"""Only the daemon writes into these; the first one while it lives, whatever happens."""
EVERY = timedelta(minutes=2)
"""How often it is renewed: an inode on the SD card each time, some 10 MB a day."""


class Pulse:
    """A file that is touched while the daemon lives. Never raises: it is worth no failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beaten: datetime | None = None

    def last(self) -> datetime | None:
        """Return when it was last touched; None: never."""
        try:
            return datetime.fromtimestamp(self._path.stat().st_mtime, UTC)
        except (OSError, ValueError, OverflowError):
            return None

    def beat(self, now: datetime) -> None:
        """Touch it, unless that was done less than `EVERY` ago (or the clock was set back)."""
        if self._beaten is not None and timedelta(0) <= now - self._beaten < EVERY:
            return
        self._beaten = now
        with suppress(OSError):
            self._path.touch(mode=0o600)
            os.utime(self._path, (now.timestamp(), now.timestamp()))


def last_written(state_dir: Path) -> datetime | None:
    """Return when a daemon last wrote anything to its state or gave a sign of life; None: never."""
    times = []
    for name in WRITTEN:
        with suppress(OSError):
            status = (state_dir / name).stat()
            # An empty log is a reader's: a daemon that ends takes its own away.
            times += [status.st_mtime] if status.st_size or name == FILE_NAME else []
    return datetime.fromtimestamp(max(times), UTC) if times else None
