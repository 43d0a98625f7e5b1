"""Delete log files that are too old, then the oldest until the rest is small enough.

Run logs (`*.log` in folders below the log folder) and rotated logs (`*.log.1`, `*.log.2.gz`) are deleted.
Never touched: the live logs (`*.log` in the log folder and in its folder `runs`), logs of runs that are still
open, files written to within the last hour, other kinds of files, and whatever a symbolic link points to.
Exit codes: 0 done; 1 a file could not be deleted; 2 wrong arguments; 75 asked to stop.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from scripts._job import EX_TEMPFAIL, StopRequest, finish, now, parse, parser

MB = 1_000_000
YOUNG = timedelta(hours=1)
"""A file written to this recently may still be in use, whoever writes it."""

_LOG = re.compile(r".+\.log(?P<rotated>\.\d+)?(?P<packed>\.gz)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A log file that may be deleted. written_at: POSIX seconds of the last write."""

    path: Path
    size: int
    written_at: float


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "log_dir", "state_dir")
    made.add_argument("--days", type=_count, default=30, help="delete what is older (default: 30)")
    made.add_argument("--max-mb", type=_count, default=500, help="keep at most this much (default: 500)")
    made.add_argument("--dry-run", action="store_true", help="say what would be deleted, delete nothing")
    arguments = parse(made, argv)
    if not arguments.log_dir.is_dir():
        text = f"cleanup_logs: {arguments.log_dir} is not there yet: nothing to delete"
        return finish(0, {"deleted": 0, "bytes_freed": 0}, text)
    instant = now()
    files = list(log_files(arguments.log_dir.resolve(), open_runs(arguments.state_dir), instant))
    doomed = choose(files, instant, timedelta(days=arguments.days), arguments.max_mb * MB)
    stop = StopRequest()
    if arguments.dry_run:
        for file in doomed:
            print(f"would delete {file.path} ({file.size} bytes)")
        return conclude(doomed, [], len(files), "would be freed")
    deleted, failed = delete(doomed, arguments.log_dir.resolve(), stop)
    code = conclude(deleted, failed, len(files), "freed")
    return EX_TEMPFAIL if code == 0 and len(deleted) < len(doomed) else code


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 1000000")
    return int(text)


def open_runs(state_dir: Path) -> frozenset[str]:
    """Return the ids of the runs whose directory exists: their result has not been committed yet."""
    try:
        return frozenset(entry.name for entry in os.scandir(state_dir / "runs"))
    except OSError:
        return frozenset()


def log_files(folder: Path, in_use: frozenset[str], instant: datetime) -> Iterator[LogFile]:
    """Yield the log files below `folder` that may be deleted at all. in_use: ids of open runs."""
    for root, _, names in os.walk(folder, followlinks=False):
        for name in names:
            path = Path(root, name)
            match = _LOG.fullmatch(name)
            if match is None or _is_live(Path(root), folder, match) or any(run in name for run in in_use):
                continue
            try:
                stat = path.lstat()
            except FileNotFoundError:
                continue
            is_young = instant.timestamp() - stat.st_mtime < YOUNG.total_seconds()
            if not path.is_symlink() and path.is_file() and not is_young:
                yield LogFile(path=path, size=stat.st_size, written_at=stat.st_mtime)


def _is_live(root: Path, folder: Path, match: re.Match[str]) -> bool:
    """Whether a log is appended to from day to day: the daemon's own, and those of recurring tasks."""
    return root in (folder, folder / "runs") and not match["rotated"] and not match["packed"]


def choose(files: Sequence[LogFile], instant: datetime, age: timedelta, most_bytes: int) -> list[LogFile]:
    """Return those to delete: older than `age`, and the oldest while all of them exceed `most_bytes`."""
    oldest_first = sorted(files, key=lambda file: (file.written_at, str(file.path)))
    limit = (instant - age).timestamp()
    left = sum(file.size for file in oldest_first)
    doomed = []
    for file in oldest_first:
        if file.written_at < limit or left > most_bytes:
            doomed.append(file)
            left -= file.size
    return doomed


def delete(
    doomed: Sequence[LogFile], folder: Path, should_stop: Callable[[], bool]
) -> tuple[list[LogFile], list[str]]:
    """Delete files below `folder`; return those that are gone, and what went wrong.

    A file whose folder has meanwhile become a link to elsewhere is refused.
    """
    deleted, failed = [], []
    for file in doomed:
        if should_stop():
            break
        try:
            if not file.path.parent.resolve().is_relative_to(folder):
                raise PermissionError(f"it is not below {folder} any more")
            file.path.unlink(missing_ok=True)
            deleted.append(file)
        except OSError as error:
            failed.append(f"{file.path}: {error}")
    return deleted, failed


def conclude(gone: Sequence[LogFile], failed: Sequence[str], seen: int, verb: str) -> int:
    """Write the result, say the sum, return the exit code."""
    freed = sum(file.size for file in gone)
    text = "\n".join([f"{len(gone)} of {seen} old log files, {freed / MB:.1f} MB {verb}", *failed])
    report = {"deleted": len(gone), "bytes_freed": freed, "seen": seen, "failed": list(failed), "what": verb}
    return finish(1 if failed else 0, report, text)


if __name__ == "__main__":
    sys.exit(main())
