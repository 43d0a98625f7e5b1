"""`scripts/run_execution.py --use-ml-enhanced`: what a stored model changes, and when it may not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scripts import run_execution
from tests.open_market import VOLUME, TradingBox
from tests.replay_files import FULL, SYMBOL, daily_lines, write_folder
from trading.backtest.learning.features import FEATURES
from trading.backtest.learning.model import Direction, LearnedModel
from trading.backtest.learning.model_store import ModelStore
from trading.backtest.learning.training import Score, TrainedModel
from trading.marketdata.bars import BarStore

ASKED = ("--use-smart-execution", "--use-ml-enhanced")


pytestmark = pytest.mark.usefixtures("signals_given_back")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TradingBox:
    """An open market, ACME with 200 daily bars to yesterday, BETA with 60, OLD with 200 to a month ago."""
    made = TradingBox(tmp_path)
    for name, value in made.environment(ORCHESTRATOR_RESULT=str(tmp_path / "result.json")).items():
        monkeypatch.setenv(name, value)
    for symbol, bars, age in (("ACME", 200, 1), ("BETA", 60, 1), ("OLD", 200, 30)):
        index = pd.date_range(end=made.today - timedelta(days=age), periods=bars, name="date")
        close = pd.Series(np.where(np.arange(bars) % 2, 101.0, 100.0), index=index)
        columns = dict.fromkeys(("open", "high", "low", "close", "adj_close"), close)
        BarStore(made.data).write(symbol, pd.DataFrame({**columns, "volume": VOLUME}), "test")
    return made


def model_of(last: date, probability: float = 0.6, gain: float = 0.002) -> TrainedModel:
    """A model that says the same whatever it is told."""
    direction = Direction(
        means=(0.0,) * len(FEATURES),
        scales=(1.0,) * len(FEATURES),
        coefficients=(0.0,) * len(FEATURES),
        intercept=math.log(probability / (1 - probability)),
    )
    score = Score(
        samples=999, rises=0.5, accuracy=0.6, log_loss=0.69, base_log_loss=0.693, gain=gain, error=0.001
    )
    model = LearnedModel(
        direction=direction,
        horizon=1,
        penalty=10.0,
        first="2010-01-04",
        last=str(last),
        symbols=("ACME",),
        samples=999,
        rises=0.5,
        fingerprint="ab12",
    )
    return TrainedModel(model=model, in_sample=replace(score), out_of_sample=score)


def planned(box: TradingBox, *more: str) -> dict[str, Any]:
    """Plan a purchase of ACME; return the result file."""
    wanted = ("--symbols", "ACME", "--dry-run", "--algorithm", "arrival_price", "--quantity", "900000")
    assert run_execution.main([*wanted, *more]) == 0
    found: dict[str, Any] = json.loads((box.folder / "result.json").read_text(encoding="utf-8"))
    return found


def test_a_forecast_against_the_order_makes_it_earlier_and_is_shown(
    box: TradingBox, capsys: pytest.CaptureFixture[str]
) -> None:
    ModelStore(box.data).write(model_of(box.today - timedelta(days=2)))
    (plain,) = planned(box, "--use-smart-execution")["plans"]

    told = planned(box, *ASKED)

    (plan,) = told["plans"]
    assert plan["risk"] < 0.95 * plain["risk"]
    assert plan["expected_cost"] > plain["expected_cost"]
    assert told["forecasts"]["probabilities"] == {"ACME": pytest.approx(0.6)}
    said = capsys.readouterr().out
    assert "forecast of ACME: rises with 60.0%" in said
    assert "to buy: urgency medium -> high, risk aversion 1e-06 -> 4e-06" in said


def test_a_forecast_with_the_order_makes_it_later(box: TradingBox) -> None:
    ModelStore(box.data).write(model_of(box.today - timedelta(days=2)))
    (plain,) = planned(box, "--use-smart-execution", "--side", "sell")["plans"]

    (plan,) = planned(box, *ASKED, "--side", "sell")["plans"]

    assert plan["risk"] > plain["risk"]


def test_a_model_that_is_no_better_than_the_base_rate_is_shown_and_not_acted_on(
    box: TradingBox, capsys: pytest.CaptureFixture[str]
) -> None:
    ModelStore(box.data).write(model_of(box.today - timedelta(days=2), gain=0.0005))
    (plain,) = planned(box, "--use-smart-execution")["plans"]

    told = planned(box, *ASKED)

    assert told["plans"][0]["risk"] == pytest.approx(plain["risk"], rel=0.02)  # a moment later
    assert not told["forecasts"]["is_better_than_chance"]
    assert "not acted on: on bars it had not seen the model was no better" in capsys.readouterr().out


def test_a_symbol_with_too_few_bars_has_no_forecast(
    box: TradingBox, capsys: pytest.CaptureFixture[str]
) -> None:
    ModelStore(box.data).write(model_of(box.today - timedelta(days=2)))

    told = planned(box, *ASKED, "--symbols", "BETA")

    assert told["forecasts"]["probabilities"] == {"BETA": None}
    assert "forecast of BETA: none: it has 60 daily bars before" in capsys.readouterr().out


def test_a_forecast_from_old_bars_is_not_acted_on(
    box: TradingBox, capsys: pytest.CaptureFixture[str]
) -> None:
    ModelStore(box.data).write(model_of(box.today - timedelta(days=2)))

    planned(box, *ASKED, "--symbols", "OLD")

    ended = box.today - timedelta(days=30)
    assert f"not acted on: its bars end on {ended}, 30 days before" in capsys.readouterr().out


def test_without_a_model_it_says_how_to_get_one(box: TradingBox, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_execution.main(["--symbols", "ACME", "--dry-run", *ASKED]) == 1

    said = capsys.readouterr().err
    assert f"no model is stored in {box.data / 'models'} that was trained before {box.today}" in said
    assert "scripts.train_models --until" in said


@pytest.fixture
def replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The words that replay a day of which nine months of daily bars are known."""
    source = write_folder(tmp_path / "source")
    holidays = ((2018, 7, 4), (2018, 9, 3), (2018, 11, 22), (2018, 12, 5), (2018, 12, 25), (2019, 1, 1))
    closed = [date(*day) for day in (*holidays, (2019, 1, 21))]
    lines = daily_lines(date(2018, 6, 1), date(2019, 2, 15), closed)
    header = "date,open,high,low,close,volume,adj_close"
    (source / f"{SYMBOL}.csv").write_text("\n".join([header, *lines]) + "\n")
    for name in ("STATE_DIR", "DATA_DIR", "LOG_DIR"):
        monkeypatch.setenv(f"ORCHESTRATOR_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(tmp_path / "result.json"))
    more = ("--quantity", "780", "--algorithm", "twap", "--output", str(tmp_path / "out"))
    return ("--symbols", SYMBOL, "--source", f"csv:{source}", "--replay", str(FULL), *ASKED, *more)


def test_a_replay_is_foretold_by_the_model_that_stood_then(
    tmp_path: Path, replayed: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    store = ModelStore(tmp_path / "data_dir")
    store.write(model_of(FULL - timedelta(days=6), 0.56))
    store.write(model_of(FULL, 0.99))

    assert run_execution.main(list(replayed)) == 0

    told = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert told["forecasts"]["model"] == "2019-02-08"
    assert told["forecasts"]["probabilities"] == {SYMBOL: pytest.approx(0.56)}
    assert f"bars to {FULL - timedelta(days=1)}" in capsys.readouterr().out
    assert "forecast of ACME: rises with 56.0%" in (tmp_path / "out" / "report.md").read_text()


def test_a_model_that_has_seen_the_replayed_day_is_refused(
    tmp_path: Path, replayed: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    ModelStore(tmp_path / "data_dir").write(model_of(FULL))

    assert run_execution.main(list(replayed)) == 1
    said = capsys.readouterr().err
    assert "(there is one of 2019-02-14, which has seen that day)" in said
    assert "train_models --until 2019-02-13" in said
