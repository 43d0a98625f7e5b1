"""What a backtest came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from trading.backtest.account import Fill, Payment, Split
from trading.backtest.curves import holdings, without_flows
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.performance.calculator import PerformanceCalculator
from trading.backtest.performance.definitions import DEFINITIONS
from trading.backtest.performance.metrics import PerformanceMetrics
from trading.backtest.rejections import Rejection
from trading.backtest.strategy_run import Failure
from trading.backtest.trades import Trade, trades_of

if TYPE_CHECKING:
    import pandas as pd

    from trading.backtest.history import Ints

Record = Sequence[Fill | Split]


class BacktestResult:
    """One strategy's run: its equity at every bar, and how it came about.

    strategy_id: the strategy's name. equity: cash and positions after each instant, shape (instants,); open
    positions are marked, not closed. positions: shares held at the end, signed. rejections: every order that
    was not filled. flows: capital that was given (above 0) or taken away after an instant's close, by a
    rebalancing; metrics leave it out. failure: why the strategy was stopped, None if it was not.

    Specification, fills, trades and metrics are worked out when they are first asked for.
    """

    def __init__(
        self,
        *,
        strategy_id: str,
        initial_capital: float,
        history: PriceHistory,
        equity: Floats,
        record: Record | Callable[[], Record],
        payments: Sequence[Payment] = (),
        flows: Sequence[tuple[int, float]] = (),
        rejections: Sequence[Rejection] = (),
        failure: Failure | None = None,
        specification: Callable[[], dict[str, Any]],
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        self.strategy_id = strategy_id
        self.initial_capital = initial_capital
        self.equity = equity
        self.payments = tuple(payments)
        self.flows = tuple(flows)
        self.rejections = tuple(rejections)
        self.failure = failure
        self._specification = specification
        self._history = history
        self._record = record
        self._metadata = dict(metadata or {})

    @cached_property
    def record(self) -> Record:
        """Every fill and split, in time order."""
        return self._record() if callable(self._record) else self._record

    @cached_property
    def specification(self) -> dict[str, Any]:
        """All that the run was made from; `trading.backtest.rerun` runs it again."""
        return self._specification()

    @property
    def fills(self) -> list[Fill]:
        """Every execution, in time order."""
        return [entry for entry in self.record if isinstance(entry, Fill)]

    @cached_property
    def trades(self) -> list[Trade]:
        """Every round trip, in the order of its end; what is still open is none."""
        return trades_of(self.record, self._history.stamps, self._metadata)

    @cached_property
    def holdings(self) -> dict[str, Floats]:
        """The shares held after each instant, shape (instants,), of each symbol ever held."""
        return holdings(self.record, len(self.equity))

    @property
    def positions(self) -> dict[str, float]:
        """The shares held at the end."""
        return {symbol: float(held[-1]) for symbol, held in self.holdings.items() if held[-1]}

    @property
    def final_equity(self) -> float:
        return float(self.equity[-1])

    @property
    def stamps(self) -> Ints:
        """The instants' labels, nanoseconds since 1970-01-01 UTC, shape (instants,)."""
        return self._history.stamps

    @cached_property
    def equity_curve(self) -> pd.Series:
        """The equity by the instants' labels (naive UTC)."""
        import pandas as pd

        return pd.Series(self.equity, index=pd.DatetimeIndex(self.stamps, name="date"), name=self.strategy_id)

    @cached_property
    def time_weighted(self) -> Floats:
        """The equity had no capital come or gone, shape (instants,)."""
        if not self.flows:
            return self.equity
        return without_flows(self.equity, self.initial_capital, self.flows)

    @cached_property
    def metrics(self) -> PerformanceMetrics:
        """The run in numbers, as `definitions` defines them."""
        return PerformanceCalculator().calculate_metrics(
            self.time_weighted,
            initial_capital=self.initial_capital,
            stamps=self.stamps,
            trade_pnls=[trade.pnl for trade in self.trades],
            trade_bars=[trade.bars for trade in self.trades],
            traded_value=sum(abs(fill.quantity) * fill.price for fill in self.fills),
            exposed_bars=int(np.count_nonzero(self._exposed())),
        )

    def _exposed(self) -> Any:
        exposed = np.zeros(len(self.equity), dtype=bool)
        for held in self.holdings.values():
            exposed |= held != 0.0
        return exposed

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result as values that JSON knows, the metrics' definitions with it."""
        return {
            "strategy_id": self.strategy_id,
            "initial_capital": self.initial_capital,
            "final_equity": self.final_equity,
            "metrics": self.metrics.to_dict(),
            "definitions": {name: asdict(each) for name, each in DEFINITIONS.items()},
            "equity": self.equity.tolist(),
            "stamps": self.stamps.tolist(),
            "trades": [trade.to_dict() for trade in self.trades],
            "positions": self.positions,
            "payments": [payment._asdict() for payment in self.payments],
            "flows": [list(flow) for flow in self.flows],
            "rejections": [
                {
                    "row": each.row,
                    "symbol": each.symbol,
                    "reason": each.reason.value,
                    "requested": each.requested,
                    "allocated": each.allocated,
                    "used": each.used,
                    "available": each.available,
                }
                for each in self.rejections
            ],
            "failure": None if self.failure is None else self.failure.error,
            "specification": self.specification,
        }
