"""What a backtest came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading.backtest.account import Fill, Payment, Split
from trading.backtest.alternating import AlternatingFills
from trading.backtest.curves import holdings, without_flows
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.performance.calculator import PerformanceCalculator
from trading.backtest.performance.definitions import definitions_to_dict
from trading.backtest.performance.metrics import PerformanceMetrics
from trading.backtest.rejections import Rejection
from trading.backtest.specification import if_any
from trading.backtest.strategy_run import Failure
from trading.backtest.trades import Trade, TradeFigures, figures_of, trades_of

if TYPE_CHECKING:
    import pandas as pd

    from trading.backtest.history import Ints

Record = Sequence[Fill | Split]
Flags = NDArray[np.bool_]


class BacktestResult:
    """One strategy's run: its equity at every bar, and how it came about.

    strategy_id: the strategy's name. equity: cash and positions after each instant, shape (instants,); open
    positions are marked, not closed. positions: shares held at the end, signed. rejections: every order that
    was not filled. allocated, used: the capital at the end, and how much of it the open positions cost.
    flows: capital that was given (above 0) or taken away after an instant's close, by a rebalancing; metrics
    leave it out. failure: why the strategy was stopped, None if it was not.

    Specification, fills, trades and metrics are worked out when they are first asked for.
    """

    def __init__(
        self,
        *,
        strategy_id: str,
        initial_capital: float,
        history: PriceHistory,
        equity: Floats,
        record: Record | AlternatingFills,
        allocated: float,
        used: float,
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
        self.allocated = allocated
        self.used = used
        self.payments = tuple(payments)
        self.flows = tuple(flows)
        self.rejections = tuple(rejections)
        self.failure = failure
        self._specification = specification
        self._history = history
        self._record = record
        self._metadata = dict(metadata or {})
        self._metrics: PerformanceMetrics | None = None

    @cached_property
    def record(self) -> Record:
        """Every fill and split, in time order."""
        return self._record.record() if isinstance(self._record, AlternatingFills) else self._record

    @cached_property
    def specification(self) -> dict[str, Any]:
        """All that the run was made from; `trading.backtest.rerun` runs it again.

        Raises:
            StrategyError: if the strategy has a parameter that cannot be saved.
        """
        return self._specification()

    @property
    def unspecified(self) -> str | None:
        """Why there is no specification; None: there is one."""
        return if_any(lambda: self.specification)[1]

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
        if self._columns is not None:
            return self._columns.holdings(len(self.equity))
        return holdings(self.record, len(self.equity))

    @cached_property
    def figures(self) -> TradeFigures:
        """What metrics ask of trades and fills."""
        return figures_of(self.record) if self._columns is None else self._columns.figures()

    @cached_property
    def _columns(self) -> AlternatingFills | None:
        """The fills as columns, None if they are none that these can tell."""
        return (
            self._record if isinstance(self._record, AlternatingFills) else AlternatingFills.of(self._record)
        )

    def cash_moved(self) -> Floats:
        """Return the cash that fills and payments brought (above 0) or took at each instant."""
        if self._columns is not None:
            moved = self._columns.moved(len(self.equity))
        else:
            moved = np.zeros(len(self.equity))
            for fill in self.fills:
                moved[fill.row] -= fill.quantity * fill.price + fill.fee
        for payment in self.payments:
            moved[payment.row] += payment.amount
        return moved

    @property
    def positions(self) -> dict[str, float]:
        """The shares held at the end."""
        return {symbol: float(held[-1]) for symbol, held in self.holdings.items() if held[-1]}

    @property
    def final_equity(self) -> float:
        return float(self.equity[-1])

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that it had bars of."""
        return self._history.symbols

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

    @property
    def metrics(self) -> PerformanceMetrics:
        """The run in numbers, as `definitions` defines them."""
        # No cached_property: until Python 3.12 the metrics of two results were never worked out at once.
        if self._metrics is None:
            self._metrics = self._measured()
        return self._metrics

    def _measured(self) -> PerformanceMetrics:
        return PerformanceCalculator().calculate_metrics(
            self.time_weighted,
            initial_capital=self.initial_capital,
            stamps=self.stamps,
            trade_pnls=self.figures.pnls,
            trade_bars=self.figures.bars,
            traded_value=self.figures.traded_value,
            exposed_bars=int(np.count_nonzero(self.exposed())),
        )

    def exposed(self) -> Flags:
        """Return whether any position was open after each instant, shape (instants,)."""
        exposed = np.zeros(len(self.equity), dtype=np.bool_)
        for held in self.holdings.values():
            exposed |= held != 0.0
        return exposed

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result as values that JSON knows, the metrics' definitions with it.

        Where a parameter cannot be saved, `specification` is None and `unspecified` says why.
        """
        specification, unspecified = if_any(lambda: self.specification)
        return {
            "strategy_id": self.strategy_id,
            "initial_capital": self.initial_capital,
            "final_equity": self.final_equity,
            "metrics": self.metrics.to_dict(),
            "definitions": definitions_to_dict(),
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
            "specification": specification,
            "unspecified": unspecified,
        }
