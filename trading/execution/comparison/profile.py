"""How each strategy works its order through time, as a table to draw from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trading.execution.comparison.comparison import StrategyComparison

if TYPE_CHECKING:
    import pandas as pd


def execution_profile_chart(comparison: StrategyComparison) -> pd.DataFrame:
    """Return a tidy table with exactly the columns period, strategy, holdings_pct, trade_size_pct.

    One row for each strategy and period 0 to N, strategy by strategy. holdings_pct: what is held after the
    period, trade_size_pct: what is traded in it, both in percent of the order (0 to 100). Period 0 is the
    start: all is held, nothing has been traded, its trade_size_pct is 0. A strategy with fewer intervals has
    fewer rows; a NaN of a trajectory stays NaN. The drawing is `draw_execution_profile`.
    """
    import pandas as pd  # here, as in the summary table

    parts = []
    for each in comparison.strategies:
        scale = 100 / (comparison.size_of(each) or np.nan)
        parts.append(
            pd.DataFrame(
                {
                    "period": np.arange(each.holdings.size),
                    "strategy": each.strategy_name,
                    "holdings_pct": scale * each.holdings,
                    "trade_size_pct": scale * np.concatenate(([0.0], each.trade_sizes)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
