"""Other people's engines on the same bars as ours, for the ratios of the backtests' benchmarks.

They run in the environment that `make setup-peers` makes, one process each (tests/backtest/peers); what is
counted is their CPU time for the run alone: indicators, orders and the equity curve, without start-up and
reading the bars.

python -m benchmarks.peers [BARS]      every engine once, moving averages 20/50, all in
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.backtest.peers.asking import PACKAGES, REMEDY, ask, has, write_bars

CAPITAL = 100_000.0
COMMISSION_BPS = 10.0
CROSSOVER: Mapping[str, Any] = {"name": "sma", "fast": 20, "slow": 50}
ENGINES = ("raptorbt-arrays", "raptorbt-closes", "raptorbt", "backtesting", "bt", "backtrader")
"""The fastest first; a dash puts the form behind the name. raptorbt is handed a whole bar, as our strategies
are; raptorbt-closes reads the close alone, past the bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How fast an engine was, and what came of it, by which one sees that the work was the same.

    bars_per_s: per CPU second, the best of the repeats. equity: the last value.
    """

    bars_per_s: float
    equity: float
    fills: int


def random_walk(count: int, seed: int = 4) -> pd.DataFrame:
    """Return made-up minute bars that begin at 100, prices with six decimals."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0, 0.0005, (count, 2))
    path = 100.0 * np.exp(np.cumsum(moves))
    opens, closes = np.round(path[0::2], 6), np.round(path[1::2], 6)
    return pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, closes),
            "low": np.minimum(opens, closes),
            "close": closes,
            "volume": np.full(count, 1000.0),
        },
        index=pd.date_range("2000-01-03", periods=count, freq="min", name="date"),
    )


def measure(
    engine: str, path: Path, *, strategy: Mapping[str, Any] = CROSSOVER, repeats: int = 3
) -> Measured | None:
    """Return how fast an engine of `ENGINES` is on the bars that `write_bars` put there.

    All in, 10 bps, decisions at the close filled at the next open. None if the engine is not installed.

    Raises:
        RuntimeError: with what it wrote, if it fails.
    """
    name, _, form = engine.partition("-")
    if not has(PACKAGES[name]):
        return None
    question = {
        "bars": str(path),
        "strategy": dict(strategy),
        "sizing": "allin",
        "commission_bps": COMMISSION_BPS,
        "capital": CAPITAL,
        "form": form or "class",
    }
    answers = ask(name, [question] * repeats)
    last = answers[-1]
    seconds = min(answer.seconds for answer in answers)
    return Measured(bars_per_s=len(last.equity) / seconds, equity=last.equity[-1], fills=len(last.fills))


def main(arguments: list[str]) -> int:
    count = int(arguments[0]) if arguments else 100_000
    with tempfile.TemporaryDirectory() as folder:
        path = write_bars(Path(folder) / "bars.csv", random_walk(count))
        for engine in ENGINES:
            found = measure(engine, path, repeats=1)
            if found is None:
                print(f"{engine:16} not here: {REMEDY}")
                continue
            print(f"{engine:16} {found.bars_per_s:12,.0f} bars/s {found.fills:6} fills {found.equity:14.6f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
