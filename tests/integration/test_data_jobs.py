"""The data jobs as processes and as functions: exit codes, result files, signals, deadlines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts import data_quality, refresh_data, refresh_eod_data
from scripts._job import StopRequest
from tests.bar_frames import steady, write_csv
from trading.marketdata.bars import BarStore
from trading.marketdata.findings import FindingLog

ROOT = Path(__file__).resolve().parents[2]
PLAIN_ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


pytestmark = pytest.mark.usefixtures("result_file")


def run(script: str, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"scripts.{script}", *argv],
        cwd=ROOT,
        env=PLAIN_ENV | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def source(tmp_path: Path, *symbols: str) -> tuple[str, ...]:
    for symbol in symbols:
        write_csv(tmp_path / "csv", symbol, steady())
    return ("--source", f"csv:{tmp_path / 'csv'}", "--data-dir", str(tmp_path / "data"))


def result(path: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads(path.read_text())
    return loaded


@pytest.mark.skipif(find_spec("bokeh_sampledata") is None, reason="bokeh_sampledata is not installed")
def test_the_sample_is_stored_checked_and_called_old(tmp_path: Path, result_file: Path) -> None:
    argv = ("--source", "sample", "--data-dir", str(tmp_path / "data"))

    first = run("refresh_eod_data", *argv, ORCHESTRATOR_RESULT=str(result_file))

    assert (first.returncode, first.stderr) == (0, "")
    assert "ends on 2013-03-01" in first.stdout
    assert BarStore(tmp_path / "data").entries()["AAPL"].rows == 3270
    assert result(result_file)["counts"] == {"written": 5}
    again = run("refresh_data", *argv)
    assert again.returncode == 0
    assert "nothing new from sample" in again.stdout
    assert "ends on 2013-03-01" in again.stdout


def test_a_refresh_with_nothing_to_do_loads_neither_pandas_nor_pyarrow(tmp_path: Path) -> None:
    argv = source(tmp_path, "ABC")
    assert refresh_data.main([*argv]) == 0
    code = (
        f"import sys; from scripts.refresh_data import main; code = main({[*argv]!r}); "
        "print(code, sorted({'pandas', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )

    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert child.stdout.splitlines()[-1] == "0 []"


def test_only_the_named_symbols_are_refreshed(tmp_path: Path) -> None:
    assert refresh_eod_data.main([*source(tmp_path, "ABC", "XYZ"), "--symbols", "xyz"]) == 0

    assert BarStore(tmp_path / "data").symbols() == ["XYZ"]


@pytest.mark.parametrize(
    ("symbols", "says"), [("NOSUCH", "no NOSUCH"), (",", "no symbols"), ("ABC,DEF", "no DEF")]
)
def test_symbols_that_are_not_there_are_an_error(
    tmp_path: Path, symbols: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refresh_eod_data.main([*source(tmp_path, "ABC"), "--symbols", symbols]) == 1

    assert says in capsys.readouterr().err


@pytest.mark.parametrize("job", [refresh_eod_data.main, refresh_data.main])
def test_a_source_that_is_not_there_fails_and_says_so(
    tmp_path: Path, job: object, capsys: pytest.CaptureFixture[str], result_file: Path
) -> None:
    assert callable(job)
    argv = ["--source", f"csv:{tmp_path / 'nowhere'}", "--data-dir", str(tmp_path / "data")]

    assert job(argv) == 1

    assert "there is no such folder" in capsys.readouterr().err
    assert "no such folder" in str(result(result_file)["error"])


def test_an_empty_folder_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()

    assert refresh_data.main([*source(tmp_path)]) == 1


def test_one_bad_symbol_fails_the_job_and_the_others_are_stored(
    tmp_path: Path, result_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = source(tmp_path, "ABC", "XYZ")
    bad = tmp_path / "csv" / "ABC.csv"
    bad.write_text(bad.read_text().replace("100.0", "n/a", 1))

    assert refresh_eod_data.main([*argv]) == 1

    assert BarStore(tmp_path / "data").symbols() == ["XYZ"]
    assert "ABC.csv:2: open 'n/a' is not a number" in capsys.readouterr().out
    assert result(result_file)["counts"] == {"failed": 1, "written": 1}


def test_a_refused_symbol_is_tried_again_before_the_market(tmp_path: Path) -> None:
    argv = source(tmp_path, "ABC")
    write_csv(tmp_path / "csv", "ABC", steady().assign(low=-1.0))
    assert refresh_eod_data.main([*argv]) == 1

    assert refresh_data.main([*argv]) == 1
    write_csv(tmp_path / "csv", "ABC", steady())
    assert refresh_data.main([*argv]) == 0


def test_a_run_whose_time_is_up_exits_75_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result_file: Path
) -> None:
    argv = source(tmp_path, "ABC", "XYZ")
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2000-01-01T00:00:00Z")

    assert refresh_eod_data.main([*argv]) == 75
    assert result(result_file)["left"] == ["ABC", "XYZ"]
    assert data_quality.main(["--data-dir", str(tmp_path / "data")]) == 0  # nothing is stored to stop at

    monkeypatch.delenv("ORCHESTRATOR_DEADLINE")
    assert refresh_eod_data.main([*argv]) == 0


def test_sigterm_ends_a_run_after_the_symbol_it_is_at(tmp_path: Path) -> None:
    symbols = [f"S{n:04d}" for n in range(300)]
    argv = source(tmp_path, *symbols)
    job = subprocess.Popen(
        [sys.executable, "-m", "scripts.refresh_eod_data", *argv], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert job.stdout is not None
    first = job.stdout.readline()

    job.send_signal(signal.SIGTERM)
    rest, _ = job.communicate(timeout=60)

    assert job.returncode == 75
    assert "written" in first
    stored = BarStore(tmp_path / "data")
    done = stored.symbols()
    assert 0 < len(done) < len(symbols)
    assert f"{len(symbols) - len(done)} left for the next run" in rest
    assert sorted(stored.entries()) == done
    assert not [p for p in stored.folder.iterdir() if p.name.startswith(".")]


def test_a_second_signal_is_left_to_end_the_process() -> None:
    stop = StopRequest()
    assert not stop()

    os.kill(os.getpid(), signal.SIGTERM)

    assert stop()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_stored_bars_are_checked_and_the_findings_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], result_file: Path
) -> None:
    write_csv(tmp_path / "csv", "ABC", steady().drop(steady().index[50]))
    refresh_eod_data.main([*source(tmp_path)])

    code = data_quality.main(["--data-dir", str(tmp_path / "data")])

    assert code == 0
    printed = capsys.readouterr().out
    assert "warn    ABC      gap              2024-03-11" in printed
    # The gap, stale, and bars on New Year, King's and Presidents' Day and Good Friday of 2024.
    assert result(result_file)["counts"] == {"warn": 6}


def test_a_damaged_bar_file_fails_the_check(tmp_path: Path) -> None:
    refresh_eod_data.main([*source(tmp_path, "ABC", "XYZ")])
    BarStore(tmp_path / "data").path("ABC").write_bytes(b"torn")

    assert data_quality.main(["--data-dir", str(tmp_path / "data")]) == 1

    assert "unreadable" in {f.check for f in FindingLog(tmp_path / "data").read() if f.symbol == "ABC"}


def test_findings_of_a_symbol_that_is_gone_go_with_it(tmp_path: Path) -> None:
    refresh_eod_data.main([*source(tmp_path, "ABC", "XYZ")])
    BarStore(tmp_path / "data").path("ABC").unlink()

    data_quality.main(["--data-dir", str(tmp_path / "data")])

    assert {f.symbol for f in FindingLog(tmp_path / "data").read()} == {"XYZ"}


def test_a_check_without_bars_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert data_quality.main(["--data-dir", str(tmp_path / "data")]) == 0

    assert "refresh_eod_data" in capsys.readouterr().out


def test_a_check_whose_time_is_up_exits_75(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refresh_eod_data.main([*source(tmp_path, "ABC")])
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2000-01-01T00:00:00Z")

    assert data_quality.main(["--data-dir", str(tmp_path / "data")]) == 75


def test_places_that_are_not_given_come_from_the_settings(tmp_path: Path) -> None:
    write_csv(tmp_path / "csv", "ABC", steady())

    done = run(
        "refresh_data",
        ORCHESTRATOR_DATA_DIR=str(tmp_path / "bars"),
        ORCHESTRATOR_DATA_SOURCE=f"csv:{tmp_path / 'csv'}",
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert BarStore(tmp_path / "bars").symbols() == ["ABC"]


def test_a_bad_setting_ends_the_job_with_one_clear_line() -> None:
    done = run("refresh_data", ORCHESTRATOR_DATA_SOURCE="ftp:x")

    assert done.returncode == 2
    assert "ORCHESTRATOR_DATA_SOURCE='ftp:x'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("main", [refresh_eod_data.main, refresh_data.main])
def test_a_job_by_hand_reads_settings_and_refuses_bad_ones(
    main: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(main)
    monkeypatch.setenv("ORCHESTRATOR_DATA_SOURCE", "ftp:x")

    with pytest.raises(SystemExit) as caught:
        main([])

    assert caught.value.code == 2
    assert "ORCHESTRATOR_DATA_SOURCE" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("bokeh_sampledata") is None, reason="bokeh_sampledata is not installed")
@pytest.mark.parametrize("main", [refresh_eod_data.main, refresh_data.main])
def test_both_jobs_say_that_the_sample_ends(
    tmp_path: Path, main: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(main)

    for _ in range(2):
        assert main(["--source", "sample", "--data-dir", str(tmp_path)]) == 0
        assert "ends on 2013-03-01" in capsys.readouterr().out


@pytest.mark.parametrize("main", [refresh_eod_data.main, refresh_data.main])
def test_bars_that_cannot_be_written_fail_with_a_clear_line(
    tmp_path: Path, main: object, capsys: pytest.CaptureFixture[str], result_file: Path
) -> None:
    assert callable(main)
    argv = source(tmp_path, "ABC")
    (tmp_path / "data").write_text("in the way")

    assert main([*argv]) == 1

    assert "bars cannot be written to" in capsys.readouterr().err
    assert result(result_file)["done"] == []
