"""The result file is whole or absent, and the deadline is an instant or nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scripts._result import run_deadline, write_result


def test_result_is_written_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "result.json"
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(target))

    written = write_result({"rows": 3, "day": datetime(2026, 11, 20, tzinfo=UTC).date()})

    assert written == target
    assert json.loads(target.read_text()) == {"rows": 3, "day": "2026-11-20"}
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_nothing_is_written_when_run_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORCHESTRATOR_RESULT", raising=False)

    assert write_result({"rows": 3}) is None


def test_a_report_that_is_no_json_leaves_the_old_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "result.json"
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(target))
    write_result({"rows": 3})

    with pytest.raises(ValueError, match="Out of range"):
        write_result({"share": float("nan")})

    assert json.loads(target.read_text()) == {"rows": 3}


def test_a_failed_rename_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(target))

    with pytest.raises(OSError, match="taken"):
        write_result({"rows": 3})

    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_deadline_is_read_as_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2026-11-20T18:00:00-05:00")

    assert run_deadline() == datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


def test_no_deadline_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORCHESTRATOR_DEADLINE", raising=False)

    assert run_deadline() is None


@pytest.mark.parametrize("text", ["soon", "2026-11-20T18:00:00"])
def test_a_deadline_without_a_zone_is_refused_by_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", text)

    with pytest.raises(ValueError, match="ORCHESTRATOR_DEADLINE"):
        run_deadline()
