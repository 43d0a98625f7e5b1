"""Volume profiles measured on stored bars, and the two jobs: exit codes, result files, quick second runs."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from scripts import refresh_intraday_data, refresh_volume_profiles
from tests.intraday_files import SHARED, session, write_intraday
from trading.execution.errors import PlanError
from trading.execution.volume_profiles import ProfileStore, get_volume_profile_from_db, measure, u_shape
from trading.marketdata.intraday import IntradayStore

ROOT = Path(__file__).resolve().parents[2]

needs_shared = pytest.mark.skipif(
    not (SHARED / "intraday").is_dir(), reason="the shared price data is not here (ORCHESTRATOR_SHARED_DATA)"
)


pytestmark = pytest.mark.usefixtures("result_file")


def result(path: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(path.read_text())
    return loaded


def fetch(source: Path, data: Path) -> int:
    return refresh_intraday_data.main(["--source", f"csv:{source}", "--data-dir", str(data)])


def profiles(data: Path) -> int:
    return refresh_volume_profiles.main(["--data-dir", str(data)])


def quarters(first: float, rest: float) -> list[float]:
    """26 bars of a quarter of an hour: one volume for the first, another for the others."""
    return [first] + [rest] * 25


WEEK = ["2024-11-18", "2024-11-19", "2024-11-20", "2024-11-21", "2024-11-22"]
EARLY_CLOSES = ["2023-07-03", "2023-11-24", "2024-07-03", "2024-11-29"]
"""Of the NYSE, 13:00: before Independence Day and after Thanksgiving."""


# Measuring


def test_the_median_is_taken_bucket_by_bucket_and_normalised(tmp_path: Path) -> None:
    """First-bar shares of five sessions: 1/26 (even), 75/100, 25/50, 25/50, 25/50. Medians: 1/2 for the
    first, 1/50 for each of the 25 others (1/26, 1/100, 1/50 three times); they sum to 1 already."""
    days = zip(WEEK, [(1, 1), (75, 1), (25, 1), (25, 1), (25, 1)], strict=True)
    lines = [line for day, (first, rest) in days for line in session(day, quarters(first, rest), 15)]
    write_intraday(tmp_path, "ABC_15min.csv", lines)
    fetch(tmp_path, tmp_path / "data")

    shares = get_volume_profile_from_db("ABC", tmp_path / "data")

    assert isinstance(shares, np.ndarray)
    assert shares.tolist() == pytest.approx([1 / 2] + [1 / 50] * 25)


def test_medians_that_do_not_sum_to_one_are_scaled(tmp_path: Path) -> None:
    """Shares of three sessions in thirds: .6 .3 .1, .1 .6 .3, .3 .1 .6. Each third's median is .3: scaled, a
    third."""
    shares = [(6, 3, 1), (1, 6, 3), (3, 1, 6)]
    days = [[volume for volume in each for _ in range(130)] for each in shares]
    lines = [line for day, each in zip(WEEK, days, strict=False) for line in session(day, each)]
    write_intraday(tmp_path, "ABC_1min.csv", lines)
    fetch(tmp_path, tmp_path / "data")

    found = get_volume_profile_from_db("ABC", tmp_path / "data", buckets=3)

    assert found.tolist() == pytest.approx([1 / 3] * 3)


def test_early_closes_are_measured_apart(tmp_path: Path) -> None:
    """Full sessions even, early closes with half of their volume in their last seven minutes (of 210)."""
    early = [1.0] * 203 + [29.0] * 7
    lines = [line for day in EARLY_CLOSES for line in session(day, early)]
    lines += [line for day in WEEK for line in session(day, [5.0] * 390)]
    write_intraday(tmp_path, "ABC_1min.csv", lines)
    fetch(tmp_path, tmp_path / "data")

    full = measure("ABC", tmp_path / "data", buckets=30)
    half = measure("ABC", tmp_path / "data", buckets=30, early_close=True)

    assert (full.days, half.days, half.first, half.last) == (5, 4, date(2023, 7, 3), date(2024, 11, 29))
    assert full.shares == pytest.approx([1 / 30] * 30)
    assert half.shares == pytest.approx([7 / 406] * 29 + [203 / 406])


def test_nothing_from_the_day_itself_or_later_is_looked_at(tmp_path: Path) -> None:
    lines = [line for day in WEEK[:4] for line in session(day, quarters(1, 1), 15)]
    lines += session(WEEK[4], quarters(1e9, 1), 15)
    write_intraday(tmp_path, "ABC_15min.csv", lines)
    fetch(tmp_path, tmp_path / "data")

    found = measure("ABC", tmp_path / "data", before=date(2024, 11, 22))

    assert (found.days, found.last) == (4, date(2024, 11, 21))
    assert found.shares == pytest.approx([1 / 26] * 26)


def test_only_as_many_sessions_as_asked_for_count_the_newest(tmp_path: Path) -> None:
    lines = [line for day in WEEK[:2] for line in session(day, quarters(1e9, 1), 15)]
    lines += [line for day in WEEK[2:] for line in session(day, quarters(1, 1), 15)]
    write_intraday(tmp_path, "ABC_15min.csv", lines)
    fetch(tmp_path, tmp_path / "data")

    found = measure("ABC", tmp_path / "data", days=3)

    assert (found.days, found.first) == (3, date(2024, 11, 20))
    assert found.shares == pytest.approx([1 / 26] * 26)


def test_sessions_of_years_ago_and_sessions_cut_short_do_not_count(tmp_path: Path) -> None:
    lines = session("2022-11-18", quarters(1e9, 1), 15) + session(WEEK[0], quarters(1e9, 1)[:12], 15)
    lines += [line for day in WEEK[1:] for line in session(day, quarters(1, 1), 15)]
    write_intraday(tmp_path, "ABC_15min.csv", lines)
    fetch(tmp_path, tmp_path / "data")

    assert measure("ABC", tmp_path / "data").days == 4


def test_a_bar_longer_than_a_bucket_is_spread_evenly_over_them(tmp_path: Path) -> None:
    write_intraday(tmp_path, "ABC_15min.csv", session(WEEK[0], quarters(75, 1), 15))
    fetch(tmp_path, tmp_path / "data")

    shares = get_volume_profile_from_db("ABC", tmp_path / "data", buckets=78)

    assert shares.tolist() == pytest.approx([0.25] * 3 + [0.01 / 3] * 75)


def test_without_bars_it_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no session of ABC .* use u_shape\(78\)"):
        get_volume_profile_from_db("ABC", tmp_path, buckets=78)


# Jobs


def test_the_sample_has_no_intraday_bars_which_is_no_failure(
    tmp_path: Path, result_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(tmp_path / "data")

    assert refresh_intraday_data.main(["--source", "sample", "--data-dir", data]) == 0
    assert "sample has no intraday bars: nothing fetched" in capsys.readouterr().out
    assert result(result_file)["batches"] == 0
    assert refresh_volume_profiles.main(["--data-dir", data]) == 0
    assert "plans use the default U shape" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()


def test_bars_become_profiles_which_are_read_without_pandas(tmp_path: Path, result_file: Path) -> None:
    lines = [line for day in (*WEEK, *EARLY_CLOSES) for line in session(day, [1.0] * 390)]
    write_intraday(tmp_path, "ABC_1min.csv", lines)

    assert (fetch(tmp_path, tmp_path / "data"), profiles(tmp_path / "data")) == (0, 0)

    assert result(result_file)["measured"] == 1
    code = (
        "import sys; from trading.execution.volume_profiles import ProfileStore; "
        f"p = ProfileStore({str(tmp_path / 'data')!r}).get('ABC'); "
        "print(p.days, p.early_days, p.as_of, len(p.shape), len(p.early_shape), "
        "sorted({'pandas', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "5 4 2024-11-29 26 26 []"


@pytest.mark.parametrize("job", ["refresh_intraday_data", "refresh_volume_profiles"])
def test_a_second_run_loads_neither_pandas_nor_pyarrow(tmp_path: Path, job: str) -> None:
    write_intraday(tmp_path, "ABC_15min.csv", [x for day in WEEK for x in session(day, quarters(2, 1), 15)])
    fetch(tmp_path, tmp_path / "data")
    profiles(tmp_path / "data")
    argv = ["--data-dir", str(tmp_path / "data")]
    argv += ["--source", f"csv:{tmp_path}"] if job == "refresh_intraday_data" else []
    code = (
        f"import sys; from scripts.{job} import main; code = main({argv!r}); "
        "print(code, sorted({'pandas', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )

    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert child.stdout.splitlines()[-1] == "0 []"


def test_new_bars_are_measured_and_the_rest_is_kept(tmp_path: Path, result_file: Path) -> None:
    for symbol in ("ABC", "XYZ"):
        lines = [line for day in WEEK for line in session(day, quarters(2, 1), 15)]
        write_intraday(tmp_path, f"{symbol}_15min.csv", lines)
    fetch(tmp_path, tmp_path / "data")
    profiles(tmp_path / "data")
    write_intraday(tmp_path, "XYZ_15min_2.csv", session("2024-11-25", quarters(2, 1), 15))
    fetch(tmp_path, tmp_path / "data")

    assert profiles(tmp_path / "data") == 0

    assert (result(result_file)["measured"], result(result_file)["profiles"]) == (1, 2)
    kept = ProfileStore(tmp_path / "data").read()
    assert {symbol: profile.days for symbol, profile in kept.items()} == {"ABC": 5, "XYZ": 6}


def test_a_symbol_with_too_few_sessions_has_no_profile(
    tmp_path: Path, result_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_intraday(tmp_path, "ABC_15min.csv", session(WEEK[0], quarters(2, 1), 15))
    fetch(tmp_path, tmp_path / "data")

    assert profiles(tmp_path / "data") == 0

    assert "ABC has 1 usable sessions; a profile needs 5" in capsys.readouterr().out
    assert list(result(result_file)["skipped"]) == ["ABC"]  # type: ignore[call-overload]  # JSON of the job
    assert ProfileStore(tmp_path / "data").get("ABC") is None


def test_a_damaged_profile_file_is_an_error_to_readers_and_made_again_by_the_job(tmp_path: Path) -> None:
    write_intraday(tmp_path, "ABC_15min.csv", [x for day in WEEK for x in session(day, quarters(2, 1), 15)])
    fetch(tmp_path, tmp_path / "data")
    store = ProfileStore(tmp_path / "data")
    store.path.write_text('{"profiles": {"ABC": {"shape": [1]}}}')
    with pytest.raises(PlanError, match=r"refresh_volume_profiles\.py"):
        store.get("ABC")

    assert profiles(tmp_path / "data") == 0

    assert store.read()["ABC"].days == 5


def test_bars_that_cannot_be_read_fail_the_job_and_the_others_are_measured(
    tmp_path: Path, result_file: Path
) -> None:
    for symbol in ("ABC", "XYZ"):
        lines = [line for day in WEEK for line in session(day, quarters(2, 1), 15)]
        write_intraday(tmp_path, f"{symbol}_15min.csv", lines)
    fetch(tmp_path, tmp_path / "data")
    path = IntradayStore(tmp_path / "data").folder("ABC", 15) / "2024-11.parquet"
    index = path.with_name("index.json")
    torn = b"x" * path.stat().st_size
    stamp = path.stat().st_mtime_ns
    path.write_bytes(torn)
    index.write_text(index.read_text().replace(str(stamp), str(path.stat().st_mtime_ns)))

    assert profiles(tmp_path / "data") == 1

    assert list(ProfileStore(tmp_path / "data").read()) == ["XYZ"]
    assert "cannot be read" in str(result(result_file)["failed"])


def test_a_refused_session_fails_the_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for day in WEEK for line in session(day, quarters(2, 1), 15)]
    lines[3] = lines[2]
    write_intraday(tmp_path, "ABC_15min.csv", lines)

    assert fetch(tmp_path, tmp_path / "data") == 1

    assert "refuse: duplicate 2024-11-18" in capsys.readouterr().out


def test_a_source_that_is_not_there_fails_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(tmp_path / "nowhere", tmp_path / "data") == 1

    assert "there is no such folder" in capsys.readouterr().err


def test_runs_whose_time_is_up_exit_75_and_the_next_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result_file: Path
) -> None:
    write_intraday(tmp_path, "ABC_15min.csv", [x for day in WEEK for x in session(day, quarters(2, 1), 15)])
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2000-01-01T00:00:00Z")
    assert fetch(tmp_path, tmp_path / "data") == 75
    monkeypatch.delenv("ORCHESTRATOR_DEADLINE")
    assert fetch(tmp_path, tmp_path / "data") == 0
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2000-01-01T00:00:00Z")
    assert profiles(tmp_path / "data") == 75
    assert result(result_file)["left"] == ["ABC"]
    monkeypatch.delenv("ORCHESTRATOR_DEADLINE")

    assert profiles(tmp_path / "data") == 0


def test_bars_and_profiles_that_cannot_be_written_fail_with_a_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_intraday(tmp_path, "ABC_15min.csv", [x for day in WEEK for x in session(day, quarters(2, 1), 15)])
    (tmp_path / "file").write_text("in the way")
    assert fetch(tmp_path, tmp_path / "file") == 1
    assert "intraday bars cannot be written to" in capsys.readouterr().err
    fetch(tmp_path, tmp_path / "data")
    (tmp_path / "data" / "profiles.json").mkdir()

    assert profiles(tmp_path / "data") == 1

    assert "profiles cannot be written to" in capsys.readouterr().err


# Real bars


@needs_shared
def test_real_symbols_have_the_half_hours_that_are_known_of_them(tmp_path: Path) -> None:
    """SPY in 2011: 13.3 % in the first and 13.8 % in the last half hour (of all volume; medians are near).
    The default U is nearer to it than an even spread."""
    (tmp_path / "csv" / "intraday").mkdir(parents=True)
    (tmp_path / "csv" / "intraday" / "SPY_1min.csv.gz").symlink_to(
        SHARED / "intraday" / "SPY_1min_2011.csv.gz"
    )
    fetch(tmp_path / "csv", tmp_path)
    found = measure("SPY", tmp_path)

    assert (found.days, found.minutes) == (43, 1)
    assert sum(found.shares[:2]) == pytest.approx(0.133, abs=0.01)
    assert sum(found.shares[-2:]) == pytest.approx(0.138, abs=0.01)
    off = sum(abs(a - b) for a, b in zip(found.shares, u_shape(26), strict=True))
    assert off < 0.7 * sum(abs(a - 1 / 26) for a in found.shares)


@needs_shared
def test_real_bars_of_twenty_symbols_become_profiles(tmp_path: Path) -> None:
    """20 symbols; 15-minute bars of 30 sessions (DFS: 29) are preferred to 1-minute bars of five."""
    fetch(SHARED, tmp_path)

    assert profiles(tmp_path) == 0

    kept = ProfileStore(tmp_path).read()
    assert len(kept) == 20
    assert {symbol: p.days for symbol, p in kept.items() if p.days != 30} == {"DFS": 29}
    assert {(p.minutes, p.as_of, p.early_shape) for p in kept.values()} == {(15, date(2019, 2, 15), ())}
    assert sum(kept["AAPL"].shape[:2]) == pytest.approx(0.188, abs=0.02)
