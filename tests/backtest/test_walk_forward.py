"""Walk-forward windows by hand, and what a strategy does in one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.backtest.bars import Bar
from trading.backtest.engine import BacktestEngine
from trading.backtest.history import PriceHistory
from trading.backtest.signals import Signal
from trading.backtest.strategies.registry import made
from trading.backtest.strategy import Signals, State, Strategy
from trading.research.walk_forward import (
    Training,
    WalkForward,
    Window,
    chosen_forward,
    returns_of,
    run_window,
    stitched,
)


def test_rolling_windows_by_hand() -> None:
    """25 instants, 10 to learn, 2 left out, 4 tested: 3 windows take 24, so instant 0 is left over."""
    windows = WalkForward(train=10, test=4, embargo=2).windows(25)

    assert windows == (
        Window(train_start=1, train_stop=11, test_start=13, test_stop=17),
        Window(train_start=5, train_stop=15, test_start=17, test_stop=21),
        Window(train_start=9, train_stop=19, test_start=21, test_stop=25),
    )


def test_anchored_windows_learn_from_the_first_bar_on() -> None:
    windows = WalkForward(train=10, test=4, embargo=2, training=Training.ANCHORED).windows(25)

    assert [(each.train_start, each.train_stop) for each in windows] == [(0, 11), (0, 15), (0, 19)]
    assert [(each.test_start, each.test_stop) for each in windows] == [(13, 17), (17, 21), (21, 25)]


def test_a_history_that_is_one_bar_too_short_has_no_window() -> None:
    plan = WalkForward(train=10, test=4, embargo=2)

    assert plan.instants(1) == 16
    assert plan.windows(15) == ()
    assert len(plan.windows(16)) == 1


@given(
    st.integers(1, 50), st.integers(1, 20), st.integers(0, 10), st.integers(0, 300), st.sampled_from(Training)
)
def test_no_test_lies_inside_its_training_or_within_the_embargo(
    train: int, test: int, embargo: int, instants: int, training: Training
) -> None:
    for each in WalkForward(train=train, test=test, embargo=embargo, training=training).windows(instants):
        assert 0 <= each.train_start < each.train_stop
        assert each.train_stop - each.train_start >= train
        assert each.test_start - each.train_stop == embargo
        assert each.test_stop - each.test_start == test


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 10), st.integers(0, 300))
def test_every_bar_after_the_first_test_s_begin_is_tested_once(
    train: int, test: int, embargo: int, instants: int
) -> None:
    windows = WalkForward(train=train, test=test, embargo=embargo).windows(instants)

    tested = [at for each in windows for at in range(each.test_start, each.test_stop)]

    assert tested == (list(range(windows[0].test_start, instants)) if windows else [])
    assert instants - len(tested) < train + embargo + test


@pytest.mark.parametrize(("name", "value"), [("train", 0), ("test", 0), ("embargo", -1)])
def test_a_plan_without_sense_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        WalkForward(**{name: value})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Nothing:
    """No parameters."""


class Witness(Strategy):
    """Buys at its first decision after `warmup` bars and remembers what it was shown."""

    warmup = 3

    def __init__(self) -> None:
        super().__init__(Nothing())
        self.shown: list[int] = []

    def on_bar(self, bar: Bar, state: State) -> Signals:
        self.shown.append(bar.stamp)
        return (Signal.hold(bar.symbol, 1.0),) if state.row == self.warmup else None


def test_a_test_is_run_from_cash_with_the_warm_up_before_it_and_nothing_after_it(
    sample_history: PriceHistory,
) -> None:
    """Test 13 to 16, warm-up 3: shown are 13 - 1 - 3 = 9 to 16. It decides at 12, buys at the open of 13."""
    one = PriceHistory([sample_history.bars["UP"]])
    window = Window(train_start=1, train_stop=11, test_start=13, test_stop=17)
    witness = Witness()

    run = run_window(BacktestEngine(), witness, one, window, 1000.0)

    bars = one.bars["UP"]
    assert witness.shown == bars.stamps[9:17].tolist()
    by_hand = [bars.close[13] / bars.open[13] - 1, *(bars.close[14:17] / bars.close[13:16] - 1)]
    assert run.returns == pytest.approx(by_hand, abs=1e-12)


def test_bars_after_a_test_change_nothing_in_it(sample_history: PriceHistory) -> None:
    plan = WalkForward(train=60, test=30, embargo=0)
    [first, *_] = plan.windows(240)
    strategy = made("moving_average", fast=3, slow=20)

    whole = run_window(BacktestEngine(), strategy, sample_history, first, 1000.0)
    cut = run_window(BacktestEngine(), strategy, sample_history.head(first.test_stop), first, 1000.0)

    assert np.array_equal(whole.returns, cut.returns)


def test_windows_stitched_go_on_with_what_was_left() -> None:
    """1.1, then 1.1 * 0.5 = 0.55, then 0.55 * 1.2 = 0.66."""
    assert stitched([np.array([0.1, -0.5]), np.array([0.2])]) == pytest.approx([1.1, 0.55, 0.66])


def test_equity_that_is_gone_is_lost_once_and_stays_lost() -> None:
    """100 to 120, to -30 (a short position that went wrong), to 10: +20 %, -100 %, nothing."""
    assert returns_of(np.array([120.0, -30.0, 10.0]), 100.0) == pytest.approx([0.2, -1.0, 0.0])


def test_each_test_is_earned_by_the_trial_that_was_best_in_the_training_before_it() -> None:
    """Trained on 0-2 the first column is best, on 2-4 the second; each is tested on the next two."""
    first = [0.02, 0.01, 0.02, -0.01, -0.02, 0.5, 0.6]
    second = [-0.02, -0.01, 0.0, 0.01, 0.02, 0.7, 0.8]

    earned = chosen_forward(np.array([first, second]).T, WalkForward(train=3, test=2, embargo=0))

    assert earned.tolist() == [-0.01, -0.02, 0.7, 0.8]


def test_without_a_whole_window_nothing_is_chosen() -> None:
    assert len(chosen_forward(np.empty((0, 0)), WalkForward())) == 0
