"""Which log files are deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from scripts.cleanup_logs import LogFile, choose

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def log(name: str, days: float, size: int = 10) -> LogFile:
    return LogFile(path=Path(name), size=size, written_at=(NOW - timedelta(days=days)).timestamp())


def test_files_older_than_the_limit_go() -> None:
    files = [log("a", 31), log("b", 29), log("c", 40)]

    assert [f.path.name for f in choose(files, NOW, timedelta(days=30), 1000)] == ["c", "a"]


def test_the_oldest_go_until_the_rest_is_small_enough() -> None:
    files = [log("a", 1), log("b", 3), log("c", 2)]

    assert [f.path.name for f in choose(files, NOW, timedelta(days=30), 20)] == ["b"]
    assert [f.path.name for f in choose(files, NOW, timedelta(days=30), 19)] == ["b", "c"]
    assert len(choose(files, NOW, timedelta(days=30), 0)) == 3


def test_what_went_by_age_counts_towards_the_size() -> None:
    files = [log("a", 31, size=90), log("b", 1)]

    assert [f.path.name for f in choose(files, NOW, timedelta(days=30), 50)] == ["a"]
