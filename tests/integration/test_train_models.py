"""The training of the learned model as a job, on real stored bars."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts import train_models
from trading.backtest.learning.model_store import ModelStore
from trading.marketdata.bars import BarStore

pytest.importorskip("sklearn", reason="scikit-learn is not installed: `make setup-learn`")

LAST = pd.Timestamp("2026-11-20")


pytestmark = pytest.mark.usefixtures("signals_given_back")


def store(folder: Path, symbol: str, bars: int, memory: float = -0.5, last: pd.Timestamp = LAST) -> None:
    """Weekdays on which half of each move is taken back on the next one."""
    random = np.random.default_rng(sum(map(ord, symbol)))
    moves = random.normal(0.0, 0.01, bars)
    for at in range(1, bars):
        moves[at] += memory * moves[at - 1]
    close = 100.0 * np.exp(np.cumsum(moves))
    open_ = np.concatenate([close[:1], close[:-1]])
    prices = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close)}
    index = pd.bdate_range(end=last, periods=bars, name="date")
    frame = pd.DataFrame({**prices, "close": close, "adj_close": close, "volume": 1e6}, index=index)
    BarStore(folder).write(symbol, frame, "test")


def run(folder: Path, *more: str) -> int:
    return train_models.main(["--data-dir", str(folder), *more])


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what reads the result file."""
    path = tmp_path / "result.json"
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(path))
    return lambda: json.loads(path.read_text(encoding="utf-8"))


def test_a_model_of_all_stored_bars_is_written_with_its_figures(
    tmp_path: Path, report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    store(tmp_path, "AAA", 500)
    store(tmp_path, "BBB", 400)

    assert run(tmp_path) == 0

    kept = ModelStore(tmp_path).newest()
    assert kept is not None
    assert (kept.model.symbols, kept.model.horizon, kept.model.last) == (("AAA", "BBB"), 1, "2026-11-20")
    told = report()
    assert told["file"] == str(tmp_path / "models" / "direction-2026-11-20.json")
    assert told["fingerprint"] == kept.model.fingerprint
    assert told["out_of_sample"]["accuracy"] == kept.out_of_sample.accuracy > 0.6
    assert "run_execution --use-ml-enhanced acts on it" in capsys.readouterr().out


def test_what_is_no_better_than_the_base_rate_is_said_to_be_so(
    tmp_path: Path, report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    store(tmp_path, "WALK", 900, memory=0.0)

    assert run(tmp_path) == 0
    assert not report()["is_better_than_chance"]
    assert "shows its forecasts and does not act on them" in capsys.readouterr().out


def test_an_earlier_model_is_kept_beside_the_new_one(tmp_path: Path, report: Any) -> None:
    store(tmp_path, "AAA", 500)
    assert run(tmp_path, "--until", "2026-11-13") == 0
    earlier = (tmp_path / "models" / "direction-2026-11-13.json").read_bytes()

    assert run(tmp_path) == 0

    assert report()["kept"] == ["2026-11-13"]
    assert (tmp_path / "models" / "direction-2026-11-13.json").read_bytes() == earlier
    assert len(ModelStore(tmp_path).days()) == 2


def test_the_same_bars_make_the_same_file(tmp_path: Path) -> None:
    store(tmp_path, "AAA", 500)
    assert run(tmp_path) == 0
    first = (tmp_path / "models" / "direction-2026-11-20.json").read_bytes()

    assert run(tmp_path) == 0
    assert (tmp_path / "models" / "direction-2026-11-20.json").read_bytes() == first


def test_a_symbol_that_cannot_be_read_is_left_out_by_name(tmp_path: Path, report: Any) -> None:
    store(tmp_path, "AAA", 500)
    store(tmp_path, "TORN", 500)
    BarStore(tmp_path).path("TORN").write_bytes(b"PAR1")

    assert run(tmp_path) == 0
    assert list(report()["left_out"]) == ["TORN"]


def test_when_no_symbol_can_be_read_the_job_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(tmp_path, "TORN", 500)
    BarStore(tmp_path).path("TORN").write_bytes(b"PAR1")

    assert run(tmp_path) == 1
    assert "none of the stored bars can be used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bars", "said"), [(None, "no daily bars are stored in"), (200, "there are 73 samples")]
)
def test_too_few_bars_are_skipped_and_no_failure(
    bars: int | None, said: str, tmp_path: Path, report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    if bars is not None:
        store(tmp_path, "AAA", bars)

    assert run(tmp_path) == 0
    assert f"skipped: {said}" in capsys.readouterr().out
    assert said in report()["skipped"]
    assert not (tmp_path / "models").exists()


def test_without_scikit_learn_it_is_skipped_and_says_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)

    assert run(tmp_path) == 0
    assert "skipped: learning needs scikit-learn" in capsys.readouterr().out
    assert "`make setup-learn`" in report()["skipped"]


def test_past_its_deadline_it_writes_nothing_and_asks_to_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Any
) -> None:
    store(tmp_path, "AAA", 500)
    monkeypatch.setenv("ORCHESTRATOR_DEADLINE", "2000-01-01T00:00:00+00:00")

    assert run(tmp_path) == 75
    assert report() == {"stopped": True}
    assert not (tmp_path / "models").exists()


def test_a_full_disk_is_an_error_that_leaves_the_earlier_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store(tmp_path, "AAA", 500)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("trading.backtest.learning.model_store.replace_file", full)

    assert run(tmp_path) == 1
    assert "No space left on device" in capsys.readouterr().err


def test_as_a_process_it_ends_well_on_an_empty_box(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.train_models", "--data-dir", str(tmp_path)],
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "no daily bars are stored" in done.stdout
