"""The array form of a strategy: all its decisions at once, then the fills they lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from trading.backtest.all_in_or_out import AllInOrOut, decides_all_in_or_out
from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.curves import equity_curve
from trading.backtest.engine import specified
from trading.backtest.errors import StrategyError
from trading.backtest.history import Floats, PriceHistory, said
from trading.backtest.lockstep import NEVER, Pass, decided_early, warm_from
from trading.backtest.look_ahead import check_signals, decided_rows
from trading.backtest.result import BacktestResult
from trading.backtest.signals import Signal
from trading.backtest.strategy import ArrayStrategy, IStrategy
from trading.backtest.strategy_run import Observer, StrategyRun
from trading.backtest.view import View


def run_arrays(
    strategy: IStrategy,
    history: PriceHistory,
    capital: float,
    config: BacktestConfig,
    metadata: Mapping[str, object],
    *,
    observer: Observer | None = None,
    isolated: bool = False,
) -> BacktestResult:
    """Return what the strategy's array signals made of the capital: the result of its `on_bar`.

    Neither `on_bar` nor `on_start` and `on_end` are called. metadata: goes into every trade's. observer: told
    of rejections and failures; of signals and fills too, each visited then, if it follows them. isolated:
    whether an error below, or one of the strategy's own, becomes the result's failure, before the first
    instant, or is raised.

    Raises:
        StrategyError: if it has no array form, answers in another shape than asked for, or decides for a
            symbol in its warm-up.
        LookAheadError: if a decision changes with bars to come.
    """
    run = StrategyRun(strategy, capital, View(history), config, observer=observer, isolated=isolated)
    make = partial(
        BacktestResult,
        strategy_id=strategy.name,
        initial_capital=capital,
        history=history,
        specification=lambda: specified(strategy, config, history, capital, arrays=True),
        metadata=metadata,
    )
    try:
        weights = _decisions(strategy, history, config)
    except Exception as error:
        run.fail(error)
    else:
        follower = observer if observer is not None and observer.follows_fills else None
        is_simple = decides_all_in_or_out(weights, history, config)
        if follower is not None or not is_simple:
            _visit(run, weights)
        if is_simple:
            # Visited or not: what is written down of a run changes no bit of its result.
            segments = AllInOrOut(weights[:, 0], history, capital, config.commission.bps * 1e-4)
            rejections = segments.rejections()
            if observer is not None and follower is None:
                for each in rejections:
                    observer.rejected(run, each)
            return make(
                equity=segments.equity,
                record=segments.fills(),
                allocated=segments.allocated,
                used=segments.used,
                rejections=rejections,
            )
    account = run.account
    return make(
        equity=equity_curve(account, history),
        record=account.record,
        allocated=account.allocated,
        used=account.used,
        payments=account.payments,
        rejections=run.rejections,
        failure=run.failure,
    )


def _decisions(strategy: IStrategy, history: PriceHistory, config: BacktestConfig) -> Floats:
    """Return the strategy's target weights, shape (instants, symbols), checked."""
    if not isinstance(strategy, ArrayStrategy):
        raise StrategyError(f"{strategy.name} has no array form: expected a method signals(history)")
    ask = partial(_weights, strategy.name, strategy.signals)
    weights = ask(history)
    _check_warmup(strategy, history, weights)
    if config.check_look_ahead:
        check_signals(strategy.name, ask, history, weights, warmup=strategy.warmup)
    return weights


def _weights(name: str, signals: Callable[[PriceHistory], object], history: PriceHistory) -> Floats:
    """Ask for the target weights, shape (instants, symbols), and check them."""
    answer = signals(history)
    try:
        weights = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StrategyError(f"signals of {name} hold something else than numbers: {error}") from None
    shape = (len(history), len(history.bars))
    if weights.shape == shape[:1] and shape[1] == 1:
        weights = weights[:, None]
    if weights.shape != shape:
        raise StrategyError(
            f"signals of {name} have the shape {weights.shape}: expected {shape}, a row for each instant and "
            f"a column for each of {', '.join(history.symbols)}"
        )
    if np.isinf(weights).any():
        row, column = (int(at[0]) for at in np.nonzero(np.isinf(weights)))
        raise StrategyError(
            f"signal of {name} for {history.symbols[column]} on {said(history.stamps[row])} is "
            f"{weights[row, column]}: expected a weight, or NaN for nothing new"
        )
    return weights


def _check_warmup(strategy: IStrategy, history: PriceHistory, weights: Floats) -> None:
    """Refuse decisions for symbols of which fewer bars had been seen than the strategy needs, as `on_bar`'s
    are: cuts within the warm-up, where they might have come from later bars, are not tried."""
    for column, symbol in enumerate(history.symbols):
        early = weights[: warm_from(history, symbol, strategy.warmup), column]
        decided = np.flatnonzero((early == early) & (early != 0.0))
        if len(decided):
            row = int(decided[0])
            raise decided_early(strategy, history, symbol, row, f"a weight of {early[row]:g}")


def _visit(run: StrategyRun, weights: Floats) -> None:
    """Carry the decisions out, at the instants where there is something to do and at no others."""
    view, symbols = run.view, run.view.history.symbols
    this = Pass(view.history, [run])
    decided = iter(decided_rows(weights).tolist())
    decides = next(decided, NEVER)
    while (row := max(view.row + 1, min(this.next, decides))) < len(weights):
        view.row = row
        if row >= this.next:
            view.now = tuple(_concerned(run))
            this.open(row)
        if row == decides:
            if run.failure is None:
                told = zip(symbols, weights[row].tolist(), strict=True)
                this.take(run, [Signal(symbol=symbol, weight=w) for symbol, w in told if w == w], None)
            decides = next(decided, NEVER)
    view.row = len(weights) - 1
    run.withdraw()


def _concerned(run: StrategyRun) -> Iterator[Bar]:
    """Yield the present bars of the symbols that are held or waited for: no other can change anything."""
    view = run.view
    for symbol in dict.fromkeys((*run.account.positions, *(order.symbol for order in run.waiting))):
        at = view.count(symbol) - 1
        bars = view.history.bars[symbol]
        if at >= 0 and bars.stamps[at] == view.history.stamps[view.row]:
            open_, high, low, close, volume = (
                column.item(at) for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)
            )
            yield Bar(symbol, bars.stamps.item(at), open_, high, low, close, volume)
