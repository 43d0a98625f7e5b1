"""Backtests: bars a second in the three forms of a strategy, five strategies against one, memory, start-up.

One symbol, moving averages 20/50, all in at the next open, 10 bps. Rates are bars per CPU second, the best of
seven runs, indicators, orders and the equity curve included, reading the bars not. Beside them stands a bare
loop of this machine (a tuple a bar, one call, no account) and, where they are installed (`make setup-peers`),
other people's engines on the same bars, in the same run.

Five strategies are buy and hold, moving averages 20/50, 10/30 and 50/200, and RSI; one is 20/50. In arrays
both begin at the bar store, as a night's work does, and what counts is the time by the clock.

python -m benchmarks.bench_backtests
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.peers import CAPITAL, COMMISSION_BPS, measure, random_walk
from tests.backtest.peers.asking import REMEDY, write_bars
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission
from trading.backtest.engine import BacktestEngine
from trading.backtest.history import PriceHistory
from trading.backtest.orchestrator import StrategyOrchestrator
from trading.backtest.orchestrator_config import OrchestratorConfig
from trading.backtest.strategies.buy_and_hold import BuyAndHold, BuyAndHoldParameters
from trading.backtest.strategies.moving_average import (
    DeclaredMovingAverageCross,
    MovingAverageCross,
    MovingAverageParameters,
)
from trading.backtest.strategies.rsi import RsiParameters, RsiReversion
from trading.backtest.strategy import IStrategy
from trading.marketdata.intraday import NUMBERS, IntradayStore

COUNTS = (100_000, 1_000_000)
TARGET_OWN, TARGET_DECLARED, TARGET_ARRAYS = 1e6, 2.5e6, 20e6
TARGET_FACTOR = 3.0
TARGET_FIVE_BARS, TARGET_FIVE_ARRAYS = 3.5, 2.0
TARGET_MB, TARGET_START_S = 200.0, 1.0
TARGET_LINEAR = 1.25
"""The memory of strategies 6 to 10 against that of 2 to 5, per strategy."""
RULES = BacktestConfig(commission=Commission(bps=COMMISSION_BPS))
CROSS = MovingAverageParameters(fast=20, slow=50)


def best(
    call: Callable[[], object], repeats: int = 3, clock: Callable[[], float] = time.process_time
) -> float:
    """Return the shortest of some runs [s]; of CPU time unless another clock is given."""
    took = []
    for _ in range(repeats):
        began = clock()
        call()
        took.append(clock() - began)
    return min(took)


def side_by_side(
    one: Callable[[], object], other: Callable[[], object], clock: Callable[[], float] = time.process_time
) -> tuple[float, float]:
    """Return the shortest of nine runs of each [s], in turn: what else the machine does strikes both."""
    took = [(best(one, 1, clock), best(other, 1, clock)) for _ in range(9)]
    return min(each for each, _ in took), min(each for _, each in took)


def five() -> list[IStrategy]:
    """Return the five strategies; the second is the one."""
    averages = [(20, 50), (10, 30), (50, 200)]
    crosses = [
        MovingAverageCross(MovingAverageParameters(fast=fast, slow=slow), f"averages_{fast}_{slow}")
        for fast, slow in averages
    ]
    return [BuyAndHold(BuyAndHoldParameters()), *crosses, RsiReversion(RsiParameters())]


def bare_loop(history: PriceHistory) -> float:
    """Return the bars a second of a loop that calls a function with each bar and does nothing else."""
    (bars,) = history.bars.values()

    def passes() -> None:
        for bar in bars.as_bars():
            _seen(bar)

    return len(history) / best(passes)


def _seen(bar: object) -> None:
    pass


def forms(frame: pd.DataFrame) -> tuple[bool, float]:
    """Print the rates of the three forms; return whether they are good, and that of the first."""
    history, engine = PriceHistory.from_frames(frame), BacktestEngine(RULES)
    loop, good, rates = bare_loop(history), True, []
    for what, strategy, arrays, target in (
        ("on_bar, own indicators", MovingAverageCross(CROSS), False, TARGET_OWN),
        ("on_bar, declared ones", DeclaredMovingAverageCross(CROSS), False, TARGET_DECLARED),
        ("arrays", MovingAverageCross(CROSS), True, TARGET_ARRAYS),
    ):

        def run(strategy: IStrategy = strategy, arrays: bool = arrays) -> None:
            engine.run(strategy, history, CAPITAL, arrays=arrays)

        rates.append(len(history) / best(run, repeats=7))
        good = good and rates[-1] >= target
        print(
            f"backtests: {len(history):9,} bars, {what:22}: {rates[-1] / 1e6:6.2f} M bars/s "
            f"(target {target / 1e6:.1f} M), {rates[-1] / loop:.2f} of a bare loop"
        )
    return good, rates[0]


def peers(frame: pd.DataFrame, ours: float) -> bool:
    """Print how many times as fast as others the first form is, on the same bars."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_bars(Path(folder) / "bars.csv", frame)
        found = {engine: measure(engine, path) for engine in ("raptorbt", "backtesting")}
    rates = {engine: each.bars_per_s for engine, each in found.items() if each is not None}
    if not rates:
        print(f"backtests: no other engines are here: {REMEDY}")
        return True
    for engine, rate in rates.items():
        print(f"backtests: {len(frame):9,} bars, {engine:22}: {rate / 1e6:6.2f} M bars/s")
    factor = ours / max(rates.values())
    print(f"backtests: on_bar against the fastest of them: {factor:.1f} x (target {TARGET_FACTOR:.0f})")
    return factor >= TARGET_FACTOR


def orchestrated(
    strategies: Sequence[IStrategy], history: PriceHistory, *, arrays: bool
) -> dict[str, dict[str, float]]:
    """Run the strategies side by side, an equal share each; return the table of what they came to."""
    config = OrchestratorConfig(backtest=RULES, arrays=arrays, log_dir=None, logging_level="WARNING")
    pairs = [(strategy, 1.0 / len(strategies)) for strategy in strategies]
    return StrategyOrchestrator(pairs, config).run(history, CAPITAL).comparison_table


def five_in_one_pass(frame: pd.DataFrame) -> bool:
    """Print what five strategies that share a pass over the bars take, against one."""
    history = PriceHistory.from_frames(frame)
    one, all_five = side_by_side(
        lambda: orchestrated(five()[1:2], history, arrays=False),
        lambda: orchestrated(five(), history, arrays=False),
    )
    good = all_five <= TARGET_FIVE_BARS * one
    print(
        f"backtests: {len(history):9,} bars, five strategies in one pass: {all_five / one:.2f} x one "
        f"(target {TARGET_FIVE_BARS:.1f}), {5 * len(history) / all_five / 1e6:.2f} M bars of a strategy a s"
    )
    return good


def five_in_arrays(frame: pd.DataFrame) -> bool:
    """Print what five strategies take from the bar store to the result, against one."""
    with tempfile.TemporaryDirectory() as folder:
        store = IntradayStore(folder)
        store.merge("WALK", 1, as_stored(frame), "made up")

        def run(strategies: Sequence[IStrategy]) -> None:
            history = PriceHistory.from_frames(
                {"WALK": store.read("WALK", 1, columns=NUMBERS)[list(NUMBERS)]}
            )
            orchestrated(strategies, history, arrays=True)

        one, all_five = side_by_side(lambda: run(five()[1:2]), lambda: run(five()), time.monotonic)
    print(
        f"backtests: {len(frame):9,} bars, five strategies in arrays, from the store: {all_five / one:.2f} x "
        f"one (target {TARGET_FIVE_ARRAYS:.1f}), {all_five:.2f} s"
    )
    return all_five < TARGET_FIVE_ARRAYS * one


def as_stored(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the bars as the store wants them: sessions of whole days."""
    stamps = pd.DatetimeIndex(frame.index)
    made = frame.set_axis(stamps.tz_localize("UTC").rename("ts"))
    minute = stamps.hour * 60 + stamps.minute
    return made.assign(day=stamps.normalize(), minute=minute, session_minutes=1440, is_early=False)


def in_a_process(count: int, strategies: int, folder: str) -> tuple[float, float]:
    """Return the largest resident size [MB] and the CPU time [s] of a process, its start included, that runs
    some strategies in arrays."""
    argv = [sys.executable, "-m", "benchmarks.backtest_process", folder, str(count), str(strategies)]
    done = subprocess.run(argv, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True, check=True)
    memory, seconds = done.stdout.split()
    return float(memory), float(seconds)


def processes(frame: pd.DataFrame) -> bool:
    """Print the memory of 1, 5 and 10 strategies, and how long a small run takes from its start on."""
    with tempfile.TemporaryDirectory() as folder:
        for name in NUMBERS:
            np.save(Path(folder) / f"{name}.npy", frame[name].to_numpy())
        sizes = {count: in_a_process(len(frame), count, folder)[0] for count in (1, 5, 10)}
        start = min(in_a_process(2520, 1, folder)[1] for _ in range(3))
    growth = (sizes[10] - sizes[5]) / 5, (sizes[5] - sizes[1]) / 4
    linear = growth[0] / growth[1]
    print(
        f"backtests: {len(frame):9,} bars in arrays, memory: {sizes[1]:.0f} MB (target {TARGET_MB:.0f}); "
        f"five strategies {sizes[5]:.0f} MB, ten {sizes[10]:.0f} MB; each beyond five takes {linear:.2f} of "
        f"one before (target {TARGET_LINEAR:.2f})"
    )
    print(f"backtests: start and 2,520 bars in arrays: {start:.2f} s of CPU (target {TARGET_START_S:.0f})")
    return sizes[1] <= TARGET_MB and linear <= TARGET_LINEAR and start <= TARGET_START_S


def main() -> int:
    """Print every figure with its target; exit 1 if one is missed."""
    good, frames = [], {count: random_walk(count) for count in COUNTS}
    for frame in frames.values():
        is_good, rate = forms(frame)
        good.append(is_good)
        if len(frame) == COUNTS[0]:
            good.append(peers(frame, rate))
    good.append(five_in_one_pass(frames[COUNTS[0]]))
    good += [five_in_arrays(frames[COUNTS[1]]), processes(frames[COUNTS[1]])]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
