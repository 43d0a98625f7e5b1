"""The job that keeps the list of symbols: real files in, symbols.json out, light when nothing is new."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts import data_quality, refresh_eod_data, refresh_history, refresh_symbols
from tests.bar_frames import steady, write_csv
from trading.marketdata.findings import FindingLog
from trading.marketdata.universe import Standing, read_universe

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("result_file")


def argv(tmp_path: Path, *symbols: str) -> list[str]:
    for symbol in symbols:
        write_csv(tmp_path / "csv", symbol, steady())
    return ["--source", f"csv:{tmp_path / 'csv'}", "--data-dir", str(tmp_path / "data")]


def result(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def listed(tmp_path: Path) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads((tmp_path / "data" / "symbols.json").read_text())["symbols"]
    return plain


def test_the_list_is_written_with_dates_and_a_second_run_writes_no_byte(
    tmp_path: Path, result_file: Path
) -> None:
    where = argv(tmp_path, "ABC", "XYZ")
    assert refresh_symbols.main(where) == 0
    # The first and the hundredth weekday of 2024.
    assert {k: listed(tmp_path)["ABC"][k] for k in ("status", "first", "last")} == {
        "status": "active",
        "first": "2024-01-01",
        "last": "2024-05-17",
    }
    stamp = (tmp_path / "data" / "symbols.json").stat()

    assert refresh_symbols.main(where) == 0

    assert (tmp_path / "data" / "symbols.json").stat() == stamp
    assert result(result_file)["written"] is False
    assert result(result_file)["counts"] == {"active": 2, "ended": 0, "missing": 0}


def test_where_the_stored_bars_are_present_neither_pandas_nor_pyarrow_is_loaded(tmp_path: Path) -> None:
    where = argv(tmp_path, "ABC")
    refresh_eod_data.main(where)
    code = (
        f"import sys; from scripts.refresh_symbols import main; code = main({where!r}); "
        "print(code, sorted({'pandas', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )

    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert child.stdout.splitlines()[-1] == "0 []"


def test_a_new_name_is_known_by_its_bars(
    tmp_path: Path, result_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = argv(tmp_path, "ABC", "FB")
    write_csv(tmp_path / "csv", "FB", steady(90).assign(volume=777.0))
    refresh_eod_data.main(where)
    refresh_symbols.main(where)
    (tmp_path / "csv" / "FB.csv").unlink()
    write_csv(tmp_path / "csv", "META", steady(100).assign(volume=777.0))
    write_csv(tmp_path / "csv", "OTHER", steady(100).assign(volume=5.0))

    assert refresh_symbols.main(where) == 0

    assert listed(tmp_path)["META"]["renamed_from"] == "FB"
    assert listed(tmp_path)["FB"]["renamed_to"] == "META"
    told = [(change["symbol"], change["what"]) for change in result(result_file)["changes"]]
    assert told == [("FB", "missing"), ("META", "renamed"), ("OTHER", "listed")]
    assert "META     renamed  is the new name of FB" in capsys.readouterr().out


@pytest.mark.parametrize("check", [data_quality.main, refresh_history.main])
def test_a_symbol_that_has_ended_is_no_longer_called_stale(
    tmp_path: Path, check: Callable[[list[str]], int]
) -> None:
    where = argv(tmp_path, "ABC", "XYZ")
    write_csv(tmp_path / "csv", "OLD", steady(60))  # the others have 40 sessions more
    refresh_eod_data.main(where)
    refresh_symbols.main(where)

    check(where if check is refresh_history.main else where[2:])

    ages = {f.symbol: f.check for f in FindingLog(tmp_path / "data").read() if f.check in ("stale", "ended")}
    assert ages == {"ABC": "stale", "OLD": "ended", "XYZ": "stale"}


def test_a_file_that_cannot_be_read_is_told_and_stops_nobody(tmp_path: Path, result_file: Path) -> None:
    where = argv(tmp_path, "ABC", "BAD")
    (tmp_path / "csv" / "BAD.csv").write_text("no bars")

    assert refresh_symbols.main(where) == 0

    assert list(result(result_file)["unreadable"]) == ["BAD"]
    assert listed(tmp_path)["BAD"]["first"] is None


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir()])
def test_a_source_that_is_away_or_empty_leaves_the_list_alone(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    where = argv(tmp_path, "ABC", "XYZ")
    refresh_symbols.main(where)
    before = listed(tmp_path)
    (tmp_path / "csv").rename(tmp_path / "away")
    make(tmp_path / "csv")

    assert refresh_symbols.main(where) == 1

    assert listed(tmp_path) == before


def test_a_run_whose_time_is_up_exits_75_and_leaves_the_list_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2000-01-01T00:00:00Z")

    assert refresh_symbols.main(argv(tmp_path, "ABC")) == 75

    assert read_universe(tmp_path / "data") is None


def test_the_sample_s_end_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("bokeh_sampledata")

    assert refresh_symbols.main(["--source", "sample", "--data-dir", str(tmp_path)]) == 0

    assert "5 symbols: 5 active" in capsys.readouterr().out
    assert str(read_universe(tmp_path).newest) == "2013-03-01"  # type: ignore[union-attr]  # written just now


def test_a_list_that_cannot_be_written_fails_with_a_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = argv(tmp_path, "ABC")
    (tmp_path / "data").write_text("in the way")

    assert refresh_symbols.main(where) == 1

    assert "cannot be written to" in capsys.readouterr().err


def test_a_damaged_list_is_made_anew_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = argv(tmp_path, "ABC")
    refresh_symbols.main(where)
    (tmp_path / "data" / "symbols.json").write_text('{"symbols": []}')

    assert refresh_symbols.main(where) == 0

    assert "it is made anew" in capsys.readouterr().out
    found = read_universe(tmp_path / "data")
    assert found is not None
    assert found.symbols(Standing.ACTIVE) == ["ABC"]
