"""One worker per ledger: a lock that ends with its holder, however that ends, and names it. Light."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from orchestration.clock import SystemClock
from trading.execution.errors import AnotherWorker, LedgerError

__all__ = ["FILE_NAME", "AnotherWorker", "held"]

FILE_NAME: Final = "execution.lock"
"""In the state directory, beside the ledger."""


@contextmanager
def held(path: Path, at: datetime | None = None) -> Iterator[None]:
    """Hold the lock on `path` (made if need be) within the `with`. at: since when, None: the box's clock.

    The kernel's lock decides (flock(2)), never the file's presence; its text only names the holder and may
    be that of a dead one. It is not inherited by programs that this one starts.

    Raises:
        AnotherWorker: if another process holds it; the message names its pid and since when.
        LedgerError: if the file cannot be made.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(error.errno, f"the lock cannot be made ({error.strerror})", str(path)) from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnotherWorker(_refusal(path, fd)) from None
        since = (at or SystemClock().now()).astimezone(UTC).isoformat(timespec="seconds")
        os.ftruncate(fd, 0)
        # On a full disk it is held without a name.
        with suppress(OSError):
            os.pwrite(fd, f"{os.getpid()} {since}\n".encode(), 0)
        yield
        # The file stays: with it removed, two could hold it.
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _refusal(path: Path, fd: int) -> str:
    pid, _, since = os.pread(fd, 200, 0).decode("utf-8", "replace").strip().partition(" ")
    who = f"process {pid} since {since}" if pid.isdigit() else "another process"
    return (
        f"orders are being worked by {who}: one worker per ledger ({path}). Let it end, or stop it with "
        "SIGTERM; it then leaves everything so that the next one goes on"
    )
