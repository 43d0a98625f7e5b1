"""The loop: all strategies see each bar once, in time order, and none sees another's account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from trading.backtest.bars import Bar
from trading.backtest.errors import StrategyError
from trading.backtest.history import Floats, PriceHistory, SymbolBars, said
from trading.backtest.strategy import DeclaresIndicators, Indicator, IStrategy, Signals, State
from trading.backtest.strategy_run import StrategyRun
from trading.backtest.view import AccountState, View

YEAR = 365 * 86_400e9
"""Nanoseconds."""
NEVER = 1 << 62

Call = tuple[StrategyRun, Callable[[Bar, State], Signals], AccountState]
Between = Callable[[int], None]
"""Told the row of each instant after its bars were seen by all."""
Progress = Callable[[float], None]
"""Told the share of a run that is done, above 0 and up to 1; what it raises ends the run."""
STEPS = 100
T = TypeVar("T")


def indicator_values(strategy: IStrategy, history: PriceHistory) -> dict[str, list[Floats]]:
    """Return what a strategy's declared indicators say, by symbol; empty if it declares none.

    Raises:
        StrategyError: if one answers in another shape than its bars'.
    """
    if not isinstance(strategy, DeclaresIndicators):
        return {}
    return {
        symbol: [indicator_value(strategy.name, each, bars) for each in strategy.indicators]
        for symbol, bars in history.bars.items()
    }


def indicator_value(name: str, indicator: Indicator, bars: SymbolBars) -> Floats:
    """Return what an indicator of the strategy of this name says of one symbol's bars, shape (n,).

    Raises:
        StrategyError: if it answers in another shape.
    """
    column = np.asarray(indicator(bars), dtype=np.float64)
    if column.shape != bars.stamps.shape:
        raise StrategyError(
            f"indicator {indicator!r} of {name} answered the shape {column.shape} for {len(bars)} bars of "
            f"{bars.symbol}"
        )
    return column


def warm_from(history: PriceHistory, symbol: str, warmup: int) -> int:
    """Return the instant from which on a strategy may decide for a symbol: that of the bar after its warm-up;
    `NEVER` if there is none. A strategy without a warm-up may at any."""
    rows = history.rows[symbol]
    if warmup == 0:
        return 0
    return int(rows[warmup]) if len(rows) > warmup else NEVER


def decided_early(
    strategy: IStrategy, history: PriceHistory, symbol: str, row: int, decision: str
) -> StrategyError:
    """Return the error for a decision in the warm-up. decision: what it wants, as text."""
    seen = int(np.searchsorted(history.rows[symbol], row, side="right"))
    return StrategyError(
        f"{strategy.name} decides {decision} for {symbol} on {said(history.stamps[row])}, after {seen} of "
        f"its bars: expected nothing before its bar {strategy.warmup + 1}, as the strategy's warm-up is "
        f"{strategy.warmup} bars"
    )


class Agenda:
    """What happens to holdings apart from trades: splits, dividends, last bars, and the passing of time."""

    def __init__(self, history: PriceHistory, *, financed: bool) -> None:
        self.history = history
        self.splits: dict[int, list[tuple[str, float]]] = {}
        self.dividends: dict[int, list[tuple[str, float]]] = {}
        self.ended: dict[int, list[str]] = {}
        for symbol, bars in history.bars.items():
            rows = history.rows[symbol]
            if bars.splits is not None:
                _note(self.splits, symbol, rows, bars.splits, 1.0)
            if bars.dividends is not None:
                _note(self.dividends, symbol, rows, bars.dividends, 0.0)
            last = int(rows[-1])
            if last < len(history) - 1:
                self.ended.setdefault(last + 1, []).append(symbol)
        self.financed = financed
        self._rows = iter(sorted({*self.splits, *self.dividends, *self.ended}))
        self.next = 0 if financed else next(self._rows, NEVER)

    def keep(self, row: int, runs: Sequence[StrategyRun]) -> None:
        """Do what is due at an instant, before its orders."""
        for run in runs:
            if self.financed and row:
                elapsed = float(self.history.stamps[row] - self.history.stamps[row - 1])
                run.finance(elapsed / YEAR)
            for symbol, ratio in self.splits.get(row, ()):
                run.split(symbol, ratio)
            for symbol, per_share in self.dividends.get(row, ()):
                run.pay_dividend(symbol, per_share)
            for symbol in self.ended.get(row, ()):
                run.delist(symbol)
        if not self.financed:
            self.next = next(self._rows, NEVER)


def _note(
    events: dict[int, list[tuple[str, float]]], symbol: str, rows: np.ndarray, values: Floats, none: float
) -> None:
    for at in np.flatnonzero(values != none).tolist():
        if at:  # Nobody holds anything before the first bar.
            events.setdefault(int(rows[at]), []).append((symbol, float(values[at])))


def run_together(
    history: PriceHistory,
    runs: Sequence[StrategyRun],
    between: Between | None = None,
    progress: Progress | None = None,
) -> None:
    """Run every strategy over the history in one pass; an exception of one stops it alone if it is isolated.

    Runs that share a view see the very same bars. between: called after each instant. Declared indicators
    are worked out again on bars that end earlier, unless a run's rules have no such check.

    Raises:
        LookAheadError: if an indicator changes with bars to come.
        StrategyError: if a strategy breaks its protocol: among others, decides in its warm-up.
    """
    for run in runs:
        _check_indicators(run)
    for run in runs:
        run.start()
    this = Pass(history, runs, progress)
    views = list({id(run.view): run.view for run in runs}.values())
    if len(views) > 1:
        _several_views(this, views, between)
    elif len(history.bars) > 1:
        _one_view(this, views[0], between)
    elif len(runs) == 1 and between is None:
        _one_run(this, runs[0])
    else:
        _one_symbol(this, views[0], between)
    for run in runs:
        run.end()


def _check_indicators(run: StrategyRun) -> None:
    """Stop a strategy whose declared indicators look ahead."""
    from trading.backtest.look_ahead import check_indicators  # it runs strategies by this very module

    if run.failure is not None or not run.config.check_look_ahead:
        return
    try:
        check_indicators(run.strategy, run.view.history, run.view.values)
    except Exception as error:
        run.fail(error)


class Pass:
    """What is shared by the instants of a pass: whom to tell of a bar, who waits for the next one, and when
    something is due apart from trades."""

    __slots__ = ("agenda", "calls", "due", "next", "progress", "runs", "warm")

    def __init__(
        self, history: PriceHistory, runs: Sequence[StrategyRun], progress: Progress | None = None
    ) -> None:
        self.runs = runs
        self.progress = progress
        self.agenda = Agenda(history, financed=any(not run.config.financing.is_none for run in runs))
        self.due: list[StrategyRun] = []
        self.calls: dict[int, list[Call]] = {}
        self.warm: dict[StrategyRun, int] = {}
        """The instant from which on a strategy may decide for every symbol."""
        for run in runs:
            self.warm[run] = max(warm_from(history, each, run.strategy.warmup) for each in history.bars)
            call = (run, run.strategy.on_bar, run.state) if run.failure is None else (run, _silent, run.state)
            self.calls.setdefault(id(run.view), []).append(call)
        self.next = 0
        """The instant from which on `open` has something to do."""

    def watched(self, instants: Iterable[T]) -> Iterator[T]:
        """Return the stream of the instants' bars, with a word of how far it is now and then."""
        if self.progress is None:
            return iter(instants)
        # Cut in pieces, it costs nothing for each bar.
        return chain.from_iterable(_pieces(iter(instants), len(self.agenda.history), self.progress))

    def open(self, row: int) -> None:
        """Do what an instant begins with: splits, dividends, interest; then fills."""
        if row >= self.agenda.next:
            self.agenda.keep(row, self.runs)
        if self.due:
            still = []
            for run in self.due:
                run.match()
                is_short = run.is_short
                if is_short:
                    run.check_ruin()
                if run.failure is not None:
                    self._silence(run)
                if is_short or run.waiting:
                    still.append(run)
            self.due = still
        self.next = 0 if self.due else self.agenda.next

    def take(self, run: StrategyRun, signals: object, error: Exception | None) -> None:
        """Turn a strategy's answer into orders, or stop it for its error."""
        if error is not None:
            run.fail(error)
        else:
            run.place(signals)
            if run.view.row < self.warm[run] and run.failure is None:
                _refuse_early(run)
        if run.failure is not None:
            self._silence(run)
        if run not in self.due:
            self.due.append(run)
            self.next = 0

    def attend(self) -> None:
        """See who waits for the next bar now: capital that moved may have placed orders."""
        self.due = [run for run in self.runs if run.waiting or run.is_short]
        if self.due:
            self.next = 0

    def _silence(self, run: StrategyRun) -> None:
        """Tell a stopped strategy of no more bars; the loop may stand in this very list."""
        calls = self.calls[id(run.view)]
        calls[:] = [(each, _silent if each is run else told, state) for each, told, state in calls]


def _refuse_early(run: StrategyRun) -> None:
    """Stop a strategy that has just ordered in its warm-up anything but to hold nothing."""
    row, history = run.view.row, run.view.history
    for order in run.waiting:
        if order.placed == row < warm_from(history, order.symbol, run.strategy.warmup):
            sizes = {"weight": order.weight, "quantity": order.quantity, "change": order.change}
            for what, size in sizes.items():
                if size:
                    decision = f"a {what} of {size:g}"
                    run.fail(decided_early(run.strategy, history, order.symbol, row, decision))
                    return


def _pieces(stream: Iterator[T], instants: int, progress: Progress) -> Iterator[Iterator[T]]:
    size = -(-instants // STEPS)
    for start in range(0, instants, size):
        yield islice(stream, size)
        progress(min((start + size) / instants, 1.0))


def _silent(bar: Bar, state: State) -> None:
    """Answer for a strategy that has been stopped."""


def _one_run(this: Pass, run: StrategyRun) -> None:
    """The loop for one strategy alone on one symbol: the daily bread of research, and each line costs."""
    view, calls = run.view, this.calls[id(run.view)]
    (_, on_bar, state) = calls[0]
    (bars,) = view.history.bars.values()
    for row, bar in enumerate(this.watched(bars.as_bars(view.values.get(bars.symbol, ())))):
        view.row = row
        view.now = bar
        if row >= this.next:
            this.open(row)
            on_bar = calls[0][1]
        try:
            signals = on_bar(bar, state)
            if not signals:  # an array of them raises here
                continue
        except Exception as error:
            this.take(run, None, error)
        else:
            this.take(run, signals, None)
        on_bar = calls[0][1]


def _one_symbol(this: Pass, view: View, between: Between | None) -> None:
    """The same, where several see the bars of one symbol."""
    calls = this.calls[id(view)]
    (bars,) = view.history.bars.values()
    for row, bar in enumerate(this.watched(bars.as_bars(view.values.get(bars.symbol, ())))):
        view.row = row
        view.now = bar
        if row >= this.next:
            this.open(row)
        for run, on_bar, state in calls:
            try:
                signals = on_bar(bar, state)
                if not signals:
                    continue
            except Exception as error:
                this.take(run, None, error)
            else:
                this.take(run, signals, None)
        if between is not None:
            between(row)
            this.attend()


def _one_view(this: Pass, view: View, between: Between | None) -> None:
    """The same, with the bars of several symbols at an instant."""
    calls = this.calls[id(view)]
    for row, bars in enumerate(this.watched(view.history.instants(view.values))):
        view.row = row
        view.now = bars
        if row >= this.next:
            this.open(row)
        for bar in bars:
            for run, on_bar, state in calls:
                try:
                    signals = on_bar(bar, state)
                    if not signals:
                        continue
                except Exception as error:
                    this.take(run, None, error)
                else:
                    this.take(run, signals, None)
        if between is not None:
            between(row)
            this.attend()


def _several_views(this: Pass, views: Sequence[View], between: Between | None) -> None:
    """The same, where strategies with declared indicators see bars of their own."""
    streams = [view.history.instants(view.values) for view in views]
    calls = [this.calls[id(view)] for view in views]
    for row, instant in enumerate(this.watched(zip(*streams, strict=True))):
        for view, bars in zip(views, instant, strict=True):
            view.row = row
            view.now = bars
        if row >= this.next:
            this.open(row)
        for place in range(len(instant[0])):
            for told, bars in zip(calls, instant, strict=True):
                bar = bars[place]
                for run, on_bar, state in told:
                    try:
                        signals = on_bar(bar, state)
                        if not signals:
                            continue
                    except Exception as error:
                        this.take(run, None, error)
                    else:
                        this.take(run, signals, None)
        if between is not None:
            between(row)
            this.attend()
