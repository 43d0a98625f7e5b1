"""Backtests by the control command, on a bar store of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from orchestration.ctl.desk import Desk
from orchestration.ctl.main import app
from trading.backtest import (
    BacktestConfig,
    Commission,
    HistoricalDataManager,
    OrchestratorConfig,
    StrategyOrchestrator,
)
from trading.backtest.strategies.registry import made
from trading.marketdata.bars import BarStore

ROOT = Path(__file__).resolve().parents[2]
Ctl = Callable[..., Result]
RUN = ("backtest", "run", "--strategies", "moving_average:fast=5:slow=20=0.5,rsi:bars=7=0.3")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with two symbols of 200 days from 2024-01-01 on."""
    folder = tmp_path_factory.mktemp("state")
    random = np.random.default_rng(2)
    store = BarStore(folder / "data")
    for symbol in ("ONE", "TWO"):
        close = np.round(100 * np.exp(np.cumsum(random.normal(0.001, 0.02, 200))), 2)
        columns = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
        index = pd.bdate_range("2024-01-01", periods=200, name="date")
        frame = pd.DataFrame({**columns, "adj_close": close, "volume": 1e6}, index=index)
        store.write(symbol, frame.astype("float64"), "test")
    return folder


@pytest.fixture
def ctl(state: Path, tmp_path: Path) -> Ctl:
    desk_environ = {
        "ORCHESTRATOR_STATE_DIR": str(state),
        "ORCHESTRATOR_LOG_DIR": str(tmp_path / "logs"),
    }

    def call(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], obj=Desk(desk_environ))

    return call


def _json(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_run_gives_the_orchestrators_numbers(ctl: Ctl, state: Path) -> None:
    history = HistoricalDataManager(state / "data").load(["ONE", "TWO"])
    rules = BacktestConfig(commission=Commission(bps=5))
    strategies = [(made("moving_average", fast=5, slow=20), 0.5), (made("rsi", bars=7), 0.3)]
    expected = StrategyOrchestrator(strategies, OrchestratorConfig(backtest=rules, log_dir=None)).run(
        history, 50_000
    )

    told = _json(ctl(*RUN, "--capital", 50_000, "--commission-bps", 5, "--json"))

    assert told["total"] == expected.aggregate_metrics.to_dict()
    assert told["strategies"]["rsi"] == expected.strategy_results["rsi"].metrics.to_dict()
    assert told["history"]["fingerprint"] == history.fingerprint


def test_a_run_is_shown_by_strategy(ctl: Ctl) -> None:
    shown = ctl(*RUN, "--symbols", "ONE", "--from", "2024-03-01", "--to", "2024-08-30").stdout

    # 2024-03-01 is a Friday; from it to 2024-08-30 are 131 weekdays.
    assert "ONE from 2024-03-01 to 2024-08-30, 131 bars, from 100,000.00" in shown
    assert [line.split()[0] for line in shown.splitlines()[3:6]] == ["total", "moving_average", "rsi"]


def test_the_array_form_gives_the_same_numbers(ctl: Ctl) -> None:
    slow, fast = (_json(ctl(*RUN, "--json", *extra)) for extra in ((), ("--arrays",)))

    for name, value in slow["total"].items():
        if name != "remarks":
            assert fast["total"][name] == pytest.approx(value, rel=1e-9)


def test_events_go_to_the_log_folder(ctl: Ctl, tmp_path: Path) -> None:
    ctl(*RUN)

    lines = (tmp_path / "logs/backtest/orchestrator.jsonl").read_text().splitlines()

    assert json.loads(lines[0])["event"] == "orchestrator.backtest_started"


def test_reports_are_written_as_their_names_say(ctl: Ctl, tmp_path: Path) -> None:
    page, text = tmp_path / "out.html", tmp_path / "out.md"

    told = _json(ctl(*RUN, "--report", page, "--report", text, "--json"))

    assert told["written"] == [str(page), str(text)]
    assert page.read_text().startswith("<!doctype html>")
    assert "orchestratorctl backtest run --strategies moving\\_average" not in text.read_text()
    assert "orchestratorctl backtest run --strategies moving_average:fast=5" in text.read_text()


def test_the_command_in_the_report_gives_the_same_result(ctl: Ctl, tmp_path: Path) -> None:
    import shlex

    saved = tmp_path / "first.json"
    ctl(*RUN, "--from", "2024-02-01", "--commission-bps", 2.5, "--spread-bps", 3, "--save", saved)
    command = json.loads(saved.read_text())["report"]["rerun"]

    ctl(*shlex.split(command)[1:], "--save", tmp_path / "second.json")

    first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("first", "second"))
    assert first["equity"] == second["equity"]


def test_a_saved_result_runs_again_identically(ctl: Ctl, tmp_path: Path) -> None:
    ctl(*RUN, "--save", tmp_path / "a.json")

    assert _json(ctl("backtest", "rerun", tmp_path / "a.json", "--json"))["repeat"] == "identical"


def test_another_outcome_of_a_rerun_ends_with_1(ctl: Ctl, tmp_path: Path) -> None:
    ctl(*RUN, "--save", tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    content["equity"][100] *= 1.01
    (tmp_path / "a.json").write_text(json.dumps(content))

    result = ctl("backtest", "rerun", tmp_path / "a.json")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "different"
    # The 101st weekday from 2024-01-01 on.
    assert "total: the equity differs from 2024-05-20 on" in " ".join(result.stdout.split())


def test_saved_results_are_compared_with_their_settings(ctl: Ctl, tmp_path: Path) -> None:
    for name, bps in (("a", 0), ("b", 5)):
        ctl(*RUN, "--commission-bps", bps, "--save", tmp_path / f"{name}.json")

    told = _json(ctl("backtest", "compare", tmp_path / "a.json", tmp_path / "b.json", "--json"))
    shown = ctl("backtest", "compare", tmp_path / "a.json", tmp_path / "b.json").stdout

    assert told["differences"] == [{"setting": "rules.commission.bps", "first": "0.0", "second": "5.0"}]
    free, dear = told["metrics"]["total"]["total_return"]
    assert free > dear
    assert "rules.commission.bps" in shown


def test_results_made_alike_are_said_to_be(ctl: Ctl, tmp_path: Path) -> None:
    ctl(*RUN, "--save", tmp_path / "a.json")

    shown = ctl("backtest", "compare", tmp_path / "a.json", tmp_path / "a.json").stdout

    assert "made alike: every setting is the same" in shown


def test_the_strategies_are_listed_with_their_parameters(ctl: Ctl) -> None:
    told = {each["name"]: each for each in _json(ctl("backtest", "strategies", "--json"))}
    shown = ctl("backtest", "strategies").stdout

    assert told["moving_average"]["parameters"]["slow"] == 50
    assert "fast=20:slow=50:average=simple:shorting=false" in shown


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--strategies", "rsy"), 2, "Did you mean 'rsi'?"),
        (("--strategies", "rsi", "--from", "May"), 2, "'May' is not a date"),
        (("--strategies", "rsi", "--commission-bps", "-1"), 2, "bps is -1.0"),
        (("--strategies", "rsi", "--report", "out.pdf"), 2, "expected a file that ends in one of"),
        (("--strategies", "rsi", "--save", "out.html"), 2, "expected a file that ends in .json"),
        (("--strategies", "rsi=0.7,bollinger=0.7"), 2, "weights sum to 1.4"),
        (("--strategies", "rsi", "--symbols", "TRE"), 1, "TRE is not stored; there are: ONE, TWO"),
        (("--strategies", "rsi", "--from", "2030-01-01"), 1, "there are bars from 2024-01-01"),
        (("--strategies", "rsi", "--capital", "0"), 2, "--capital is 0: expected a finite amount above 0"),
        (("--strategies", "rsi", "--capital", "-5"), 2, "--capital is -5: expected a finite amount above 0"),
        (("--strategies", "rsi", "--capital", "nan"), 2, "--capital is nan"),
        (("--strategies", "rsi", "--capital", "inf", "--symbols", "TRE"), 2, "--capital is inf"),
        (("--strategies", "time_series_momentum"), 1, "needs more than 252 bars"),
    ],
)
def test_what_cannot_be_run_is_said(ctl: Ctl, words: tuple[str, ...], code: int, told: str) -> None:
    result = ctl("backtest", "run", *words)

    assert (result.exit_code, result.stdout) == (code, "")
    assert told in result.stderr


def test_a_box_without_bars_says_how_to_get_some(tmp_path: Path) -> None:
    desk = Desk({"ORCHESTRATOR_STATE_DIR": str(tmp_path)})

    result = CliRunner().invoke(app, ["backtest", "run", "--strategies", "rsi"], obj=desk)

    assert result.exit_code == 1
    assert "run scripts/refresh_eod_data.py first" in result.stderr


def test_a_file_that_is_no_result_is_refused_as_json_too(ctl: Ctl, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")

    result = ctl("backtest", "rerun", tmp_path / "x.json", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["ok"] is False


def test_a_strategy_that_fails_is_told_and_ends_with_1(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    from trading.backtest.strategies.rsi import RsiReversion

    def fail(self: RsiReversion, bar: object, state: object) -> None:
        raise RuntimeError("out of ideas")

    monkeypatch.setattr(RsiReversion, "on_bar", fail)

    result = ctl(*RUN)

    assert result.exit_code == 1
    assert "rsi was stopped: " in result.stdout
    assert "out of ideas" in result.stdout


def test_other_commands_load_neither_numpy_nor_pandas() -> None:
    code = (
        "import sys\n"
        "from orchestration.ctl.main import app\n"
        "for words in (['status', '--help'], ['backtest', 'run', '--help']):\n"
        "    app(words, standalone_mode=False)\n"
        "print(sorted({'numpy', 'pandas', 'trading.backtest'} & set(sys.modules)))\n"
    )

    ended = subprocess.run(
        (sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stdout.splitlines()[-1] == "[]"
