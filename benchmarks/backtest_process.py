"""A process that runs strategies in arrays and says what it took: memory and CPU time from its start on.

python -m benchmarks.backtest_process FOLDER BARS STRATEGIES     FOLDER: open.npy, high.npy, ..., volume.npy
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission
from trading.backtest.engine import BacktestEngine
from trading.backtest.history import PriceHistory, SymbolBars
from trading.backtest.strategies.moving_average import MovingAverageCross, MovingAverageParameters

MINUTE = 60 * 10**9


def main(arguments: list[str]) -> int:
    """Print the largest resident size [MB] and the CPU time [s]."""
    folder, count, strategies = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    columns = {name: np.load(folder / f"{name}.npy")[:count] for name in ("open", "high", "low", "close")}
    bars = SymbolBars(
        symbol="WALK",
        stamps=np.arange(count) * MINUTE,
        volume=np.load(folder / "volume.npy")[:count],
        **columns,
    )
    history, engine = PriceHistory([bars]), BacktestEngine(BacktestConfig(commission=Commission(bps=10)))
    results = []
    for _ in range(strategies):
        strategy = MovingAverageCross(MovingAverageParameters(fast=20, slow=50))
        results.append(engine.run(strategy, history, 1e5, arrays=True))
    assert all(result.final_equity > 0 for result in results)
    # The kernel's other figure, ru_maxrss, begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    (peak_kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    print(int(peak_kib) * 1024 / 1e6, time.process_time())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
