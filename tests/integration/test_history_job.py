"""The weekend's deep refresh: what it finds behind an unchanged mark, and how a stopped pass goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts import refresh_data, refresh_eod_data, refresh_history
from tests.bar_frames import SESSIONS, steady, write_csv
from trading.marketdata.bars import BarStore
from trading.marketdata.findings import FindingLog
from trading.marketdata.history_pass import Done, HistoryPass
from trading.marketdata.refresh import Status

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2024, 7, 6, 12, 0, tzinfo=UTC)


pytestmark = pytest.mark.usefixtures("result_file")


def argv(tmp_path: Path, *symbols: str) -> list[str]:
    for symbol in symbols:
        write_csv(tmp_path / "csv", symbol, steady())
    return ["--source", f"csv:{tmp_path / 'csv'}", "--data-dir", str(tmp_path / "data")]


def result(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def journal(tmp_path: Path) -> Path:
    return tmp_path / "data" / "bars" / "history-pass.jsonl"


def replace_silently(path: Path, old: str, new: str) -> None:
    """Change the file so that its size and time stay: what the daily jobs cannot notice."""
    stat = path.stat()
    text = path.read_text()
    assert len(old) == len(new)
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_revision_behind_an_unchanged_mark_is_found_stored_and_recorded(
    tmp_path: Path, result_file: Path
) -> None:
    where = argv(tmp_path, "ABC")
    write_csv(tmp_path / "csv", "ABC", steady().assign(volume=[float(1000 + n) for n in range(100)]))
    assert refresh_eod_data.main(where) == 0
    replace_silently(tmp_path / "csv" / "ABC.csv", "1040.0", "1940.0")
    assert refresh_data.main(where) == 0
    assert result(result_file)["counts"] == {"fresh": 1}

    assert refresh_history.main(where) == 0

    assert BarStore(tmp_path / "data").read("ABC")["volume"][SESSIONS[40]] == 1940.0
    (finding,) = [f for f in FindingLog(tmp_path / "data").read() if f.check == "history_changed"]
    assert (finding.day, finding.value) == (SESSIONS[40].date(), 1.0)
    assert "mark had not changed" in finding.text
    assert result(result_file)["bars"] == {
        "added": 0,
        "filled": 0,
        "revised": 1,
        "readjusted": 0,
        "rebooked": 0,
        "gaps": 0,
    }


def test_a_gap_that_the_source_has_filled_since_is_closed(tmp_path: Path, result_file: Path) -> None:
    where = argv(tmp_path)
    write_csv(tmp_path / "csv", "ABC", steady().drop(SESSIONS[[50, 51, 70]]))
    assert refresh_history.main(where) == 0
    assert result(result_file)["bars"]["gaps"] == 3

    write_csv(tmp_path / "csv", "ABC", steady().drop(SESSIONS[[70]]))
    assert refresh_history.main(where) == 0

    (changed,) = result(result_file)["changed"]
    assert (changed["filled"], changed["gaps"]) == (2, 1)


def test_a_second_pass_over_the_same_bars_writes_no_byte(tmp_path: Path, result_file: Path) -> None:
    where = argv(tmp_path, "ABC")
    assert refresh_history.main(where) == 0
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "data").rglob("*") if p.is_file()}

    assert refresh_history.main(where) == 0

    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "data").rglob("*") if p.is_file()} == stamps
    assert result(result_file)["counts"] == {"unchanged": 1}


def test_sigterm_ends_a_pass_with_75_and_the_next_run_goes_on_behind_it(
    tmp_path: Path, result_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    symbols = [f"S{n:03d}" for n in range(40)]
    where = argv(tmp_path, *symbols)
    job = subprocess.Popen(
        [sys.executable, "-m", "scripts.refresh_history", *where],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert job.stdout is not None
    job.stdout.readline()

    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=60)

    assert job.returncode == 75
    stopped = result(result_file)
    done = stopped["done"]
    assert 0 < done < 40
    assert stopped["progress"] == pytest.approx(done / 40, abs=1e-4)
    assert len(journal(tmp_path).read_text().splitlines()) == done + 1

    assert refresh_history.main(where) == 0
    printed = capsys.readouterr().out
    assert sum("written" in row for row in printed.splitlines() if row.startswith("S")) == 40 - done
    assert result(result_file)["counts"] == {"written": 40}
    assert not journal(tmp_path).exists()


def test_after_a_failure_the_next_run_tries_what_failed_alone(tmp_path: Path, result_file: Path) -> None:
    where = argv(tmp_path, "ABC", "XYZ")
    good = (tmp_path / "csv" / "XYZ.csv").read_text()
    (tmp_path / "csv" / "XYZ.csv").write_text(good.replace("100.0", "n/a", 1))
    assert refresh_history.main(where) == 1
    assert result(result_file)["bad"] == ["XYZ"]
    # Would be a failure if it were read again.
    (tmp_path / "csv" / "ABC.csv").write_text("no bars")
    (tmp_path / "csv" / "XYZ.csv").write_text(good)

    assert refresh_history.main(where) == 0

    assert BarStore(tmp_path / "data").symbols() == ["ABC", "XYZ"]


def test_bars_that_cannot_be_written_fail_with_a_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = argv(tmp_path, "ABC")
    (tmp_path / "data").write_text("in the way")

    assert refresh_history.main(where) == 1

    assert "bars cannot be written to" in capsys.readouterr().err


def test_a_source_that_is_not_there_fails_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refresh_history.main(argv(tmp_path)) == 1

    assert "there is no such folder" in capsys.readouterr().err


DONE = Done(symbol="ABC", status=Status.WRITTEN, revised=3, first=SESSIONS[0].date(), largest=0.25, gaps=2)


def begun(tmp_path: Path) -> HistoryPass:
    history = HistoryPass(tmp_path, "csv:x", NOW)
    history.add(DONE)
    history.add(Done(symbol="XYZ", status=Status.UNCHANGED))
    return history


def test_an_unfinished_pass_is_gone_on_with(tmp_path: Path) -> None:
    begun(tmp_path)

    later = HistoryPass(tmp_path, "csv:x", NOW + timedelta(days=2))

    assert (later.done["ABC"], sorted(later.done)) == (DONE, ["ABC", "XYZ"])


@pytest.mark.parametrize(
    ("source", "now"),
    [
        ("csv:y", NOW),  # another source
        ("csv:x", NOW + timedelta(days=5)),  # the next weekend
        ("csv:x", NOW - timedelta(hours=1)),  # the clock was wrong
    ],
)
def test_a_pass_of_another_source_or_week_is_begun_anew(tmp_path: Path, source: str, now: datetime) -> None:
    begun(tmp_path)

    anew = HistoryPass(tmp_path, source, now)
    assert anew.done == {}
    anew.add(DONE)

    assert sorted(HistoryPass(tmp_path, source, now).done) == ["ABC"]


def test_a_line_torn_by_a_power_cut_was_not_done(tmp_path: Path) -> None:
    path = begun(tmp_path).path
    path.write_bytes(path.read_bytes()[:-20])

    after = HistoryPass(tmp_path, "csv:x", NOW)
    assert sorted(after.done) == ["ABC"]
    after.add(Done(symbol="DEF", status=Status.WRITTEN))

    assert sorted(HistoryPass(tmp_path, "csv:x", NOW).done) == ["ABC", "DEF"]


def test_a_journal_that_is_none_is_begun_anew(tmp_path: Path) -> None:
    path = begun(tmp_path).path
    path.write_text("[]\n")

    assert HistoryPass(tmp_path, "csv:x", NOW).done == {}
