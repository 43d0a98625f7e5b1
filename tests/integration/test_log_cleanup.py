"""Cleaning up real log folders: what goes, what is never touched."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from scripts import cleanup_logs

OLD_DAYS = 40


@pytest.fixture
def logs(tmp_path: Path, result_file: Path) -> Path:
    folder = tmp_path / "logs"
    (folder / "runs" / "daily_report").mkdir(parents=True)
    return folder


def put(path: Path, days_old: float = OLD_DAYS, size: int = 100) -> Path:
    path.write_bytes(b"x" * size)
    written = time.time() - days_old * 86_400
    os.utime(path, (written, written))
    return path


def clean(logs: Path, *more: str) -> int:
    argv = ["--log-dir", str(logs), "--state-dir", str(logs.parent / "state"), *more]
    return cleanup_logs.main(argv)


def report(logs: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((logs.parent / "result.json").read_text())
    return loaded


def test_old_run_logs_and_rotated_logs_go_and_the_bytes_are_told(logs: Path) -> None:
    old = [
        put(logs / "orchestrator.log.3"),
        put(logs / "orchestrator.log.4.gz"),
        put(logs / "runs" / "monitor_positions.log.1"),
        put(logs / "runs" / "daily_report" / "daily_report.2026-10-01.once.1.log"),
    ]
    young = put(logs / "runs" / "daily_report" / "daily_report.2026-11-19.once.1.log", days_old=1)

    assert clean(logs) == 0

    assert not any(path.exists() for path in old)
    assert young.exists()
    assert report(logs) == {"deleted": 4, "bytes_freed": 400, "seen": 5, "failed": [], "what": "freed"}


def test_live_logs_and_other_files_are_never_touched(logs: Path) -> None:
    kept = [
        put(logs / "orchestrator.log"),
        put(logs / "runs" / "monitor_positions.log"),
        put(logs / "notes.txt"),
        put(logs / "runs" / "daily_report" / "picture.png"),
        put(logs / "runs" / "daily_report" / "just_now.log", days_old=0.01),
    ]

    assert clean(logs, "--days", "0", "--max-mb", "0") == 0

    assert all(path.exists() for path in kept)


def test_the_log_of_an_open_run_is_kept(logs: Path) -> None:
    run = "run_weekend_research.2026-11-23.once.1"
    (logs.parent / "state" / "runs" / run).mkdir(parents=True)
    kept = put(logs / "runs" / "daily_report" / f"{run}.log")

    assert clean(logs) == 0

    assert kept.exists()


def test_links_are_neither_followed_nor_deleted(logs: Path) -> None:
    outside = logs.parent / "outside"
    outside.mkdir()
    target = put(outside / "precious.log")
    (logs / "runs" / "elsewhere").symlink_to(outside)
    link = logs / "runs" / "daily_report" / "link.log"
    link.symlink_to(target)

    assert clean(logs, "--days", "0") == 0

    assert target.exists()
    assert link.is_symlink()


def test_a_folder_swapped_for_a_link_after_the_search_is_refused(logs: Path) -> None:
    outside = logs.parent / "outside"
    outside.mkdir()
    target = put(outside / "a.log")
    (logs / "runs" / "swapped").symlink_to(outside)
    file = cleanup_logs.LogFile(path=logs / "runs" / "swapped" / "a.log", size=100, written_at=0.0)

    deleted, failed = cleanup_logs.delete([file], logs.resolve(), lambda: False)

    assert deleted == []
    assert "is not below" in failed[0]
    assert target.exists()


def test_the_oldest_go_when_all_are_too_large(logs: Path) -> None:
    older = put(logs / "runs" / "daily_report" / "a.log", days_old=3, size=700_000)
    newer = put(logs / "runs" / "daily_report" / "b.log", days_old=2, size=700_000)

    assert clean(logs, "--max-mb", "1") == 0

    assert not older.exists()
    assert newer.exists()


def test_a_dry_run_deletes_nothing(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = put(logs / "orchestrator.log.3")

    assert clean(logs, "--dry-run") == 0

    assert old.exists()
    assert f"would delete {old}" in capsys.readouterr().out
    assert report(logs)["what"] == "would be freed"


def test_a_file_that_cannot_be_deleted_fails_the_job(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(logs / "orchestrator.log.3")

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "unlink", refuse)

    assert clean(logs) == 1
    assert "not yours" in str(report(logs)["failed"])


def test_a_job_whose_time_is_up_deletes_nothing_more(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = put(logs / "orchestrator.log.3")
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2000-01-01T00:00:00Z")

    assert clean(logs) == 75
    assert old.exists()


def test_no_log_folder_is_nothing_to_do(tmp_path: Path) -> None:
    assert cleanup_logs.main(["--log-dir", str(tmp_path / "no"), "--state-dir", str(tmp_path)]) == 0


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "9999999999"])
def test_a_limit_that_is_no_whole_number_is_refused(logs: Path, value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        clean(logs, f"--days={value}")

    assert caught.value.code == 2
