"""What every strategy promises. A strategy's test inherits `StrategyContract` and says how to make one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission
from trading.backtest.engine import BacktestEngine
from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.signals import Signal
from trading.backtest.specification import described_strategy, strategy_from
from trading.backtest.strategy import (
    ArrayStrategy,
    DeclaresIndicators,
    Ends,
    Indicator,
    IStrategy,
    Signals,
    Starts,
    State,
)

DAY = 86_400 * 10**9
"""Nanoseconds."""
INSTANTS = 300
KINDS = ("one", "aligned", "unaligned", "constant")
every_kind = pytest.mark.parametrize("kind", KINDS)


class StrategyContract:
    """Inherit it in a class named Test..., override `make`, and every promise is tested.

    `history` is for strategies that want other bars, columns or symbols. follows_prices_alone: False for a
    strategy that looks at its own cash or positions, so that costs may change what it decides.
    """

    follows_prices_alone = True

    def make(self) -> IStrategy:
        """Return a strategy whose warm-up is below half of `INSTANTS`."""
        raise NotImplementedError

    def history(self, kind: str) -> PriceHistory:
        """Return bars of a kind: one symbol; three on the same days; four that begin, pause and end on days
        of their own; or one whose price never changes (every comparison is a tie)."""
        return HISTORIES[kind]

    @every_kind
    def test_other_bars_to_come_change_nothing_before_them(self, kind: str) -> None:
        history = self.history(kind)
        known = asked(self.make(), history)

        for cut in (len(history) // 3, 2 * len(history) // 3, len(history) - 1):
            told = asked(self.make(), with_another_future(history, cut))
            assert [each for each in told if each[0] < cut] == [each for each in known if each[0] < cut]

    @every_kind
    def test_the_array_form_is_the_same_on_a_history_that_ends_sooner(self, kind: str) -> None:
        history, strategy = self.history(kind), self.make()
        if not isinstance(strategy, ArrayStrategy):
            pytest.skip("no array form")
        whole = weights_of(strategy, history)

        for cut in range(strategy.warmup + 1, len(history), 23):
            known = history.head(cut)
            columns = [history.symbols.index(symbol) for symbol in known.symbols]
            np.testing.assert_array_equal(weights_of(strategy, known), whole[: len(known), columns])

    @every_kind
    def test_the_array_form_asks_for_what_the_bars_ask_for(self, kind: str) -> None:
        self._check_forms(self.history(kind))

    def test_the_array_form_asks_for_what_the_bars_ask_for_on_real_prices(
        self, bundled_history: PriceHistory
    ) -> None:
        self._check_forms(self.real(bundled_history))

    def real(self, bundled: PriceHistory) -> PriceHistory:
        """Return real bars that this strategy can use, made of AAPL, IBM and MSFT; or skip."""
        return bundled

    def _check_forms(self, history: PriceHistory) -> None:
        strategy = self.make()
        if not isinstance(strategy, ArrayStrategy):
            pytest.skip("no array form")

        np.testing.assert_array_equal(weights_of(strategy, history), asked_weights(strategy, history))

    @every_kind
    def test_both_forms_make_the_same_of_the_capital(self, kind: str) -> None:
        """Through the engine, which also looks for a look-ahead in the array form."""
        history, strategy = self.history(kind), self.make()
        if not isinstance(strategy, ArrayStrategy):
            pytest.skip("no array form")

        told = BacktestEngine().run(strategy, history, 100_000)
        at_once = BacktestEngine().run(strategy, history, 100_000, arrays=True)

        np.testing.assert_allclose(at_once.equity, told.equity, rtol=1e-12)
        assert len(at_once.fills) == len(told.fills)

    @every_kind
    def test_kept_bars_are_unchanged_at_the_end(self, kind: str) -> None:
        history = self.history(kind)
        before = history.fingerprint
        recorder = recording(self.make())

        BacktestEngine().run(recorder, history, 100_000)

        assert [tuple(bar) for bar in recorder.bars] == recorder.copies
        assert history.fingerprint == before

    @every_kind
    def test_the_same_object_runs_twice_alike(self, kind: str) -> None:
        history, strategy = self.history(kind), self.make()

        assert asked(strategy, history) == asked(strategy, history)

    @every_kind
    def test_nothing_is_asked_for_before_the_warm_up(self, kind: str) -> None:
        history, strategy = self.history(kind), self.make()

        for row, signal in asked(strategy, history):
            rows = history.rows[signal.symbol]
            seen = int(np.searchsorted(rows, row, side="right")) - 1
            assert seen >= strategy.warmup, f"{signal} after {seen} bars"

    def test_it_is_made_again_from_what_is_saved(self) -> None:
        strategy = self.make()

        again = strategy_from(json.loads(json.dumps(described_strategy(strategy))))

        assert (type(again), again.name, again.warmup) == (type(strategy), strategy.name, strategy.warmup)
        assert again.parameters == strategy.parameters

    @every_kind
    def test_a_commission_changes_what_is_earned_and_not_what_is_decided(self, kind: str) -> None:
        if not self.follows_prices_alone:
            pytest.skip("it looks at its account")
        history, costly = self.history(kind), BacktestConfig(commission=Commission(bps=25))

        assert asked(self.make(), history, costly) == asked(self.make(), history)

    def test_it_trades_somewhere(self) -> None:
        """Else what the others find is worth nothing."""
        assert any(asked(self.make(), self.history(kind)) for kind in KINDS)


class Recorder:
    """A strategy that notes what another one is told and what it answers."""

    def __init__(self, strategy: IStrategy) -> None:
        self.strategy = strategy
        self.name, self.parameters, self.warmup = strategy.name, strategy.parameters, strategy.warmup
        self.bars: list[Bar] = []
        self.copies: list[tuple[Any, ...]] = []
        self.asked: list[tuple[int, Signal]] = []

    def on_start(self, state: State) -> None:
        if isinstance(self.strategy, Starts):
            self.strategy.on_start(state)

    def on_bar(self, bar: Bar, state: State) -> Signals:
        self.bars.append(bar)
        self.copies.append(tuple(bar))
        signals = self.strategy.on_bar(bar, state)
        self.asked += [(state.row, signal) for signal in signals or ()]
        return signals

    def on_end(self, state: State) -> None:
        if isinstance(self.strategy, Ends):
            self.strategy.on_end(state)


class DeclaringRecorder(Recorder):
    """The same, of a strategy with declared indicators."""

    strategy: DeclaresIndicators  # type: ignore[assignment]  # it is both

    @property
    def indicators(self) -> Sequence[Indicator]:
        return self.strategy.indicators


def recording(strategy: IStrategy) -> Recorder:
    return (DeclaringRecorder if isinstance(strategy, DeclaresIndicators) else Recorder)(strategy)


def asked(
    strategy: IStrategy, history: PriceHistory, config: BacktestConfig | None = None
) -> list[tuple[int, Signal]]:
    """Return what `on_bar` asks for, with the instant's row."""
    recorder = recording(strategy)
    BacktestEngine(config).run(recorder, history, 100_000)
    return recorder.asked


def asked_weights(strategy: IStrategy, history: PriceHistory) -> Floats:
    """Return what `on_bar` asks for in the shape of the array form; of two wishes the last counts."""
    weights = np.full((len(history), len(history.symbols)), np.nan)
    for row, signal in asked(strategy, history):
        weight = 0.0 if signal.quantity == 0.0 else signal.weight
        assert weight is not None, f"the array form cannot say {signal}"
        weights[row, history.symbols.index(signal.symbol)] = weight
    return weights


def weights_of(strategy: ArrayStrategy, history: PriceHistory) -> Floats:
    """Return the array form's answer, shape (instants, symbols)."""
    return strategy.signals(history).reshape(len(history), len(history.symbols))


def with_another_future(history: PriceHistory, cut: int) -> PriceHistory:
    """Return the history with its bars from instant `cut` on in another order and half as dear again."""
    random = np.random.default_rng(cut)
    return PriceHistory(
        _mixed(bars, int(np.searchsorted(history.rows[symbol], cut)), random)
        for symbol, bars in history.bars.items()
    )


def _mixed(bars: SymbolBars, first: int, random: np.random.Generator) -> SymbolBars:
    order = np.concatenate([np.arange(first), first + random.permutation(len(bars) - first)])
    factor = np.where(np.arange(len(bars)) < first, 1.0, 1.5)
    prices = {name: getattr(bars, name)[order] * factor for name in ("open", "high", "low", "close")}
    extras = {name: column[order] for name, column in bars.extras.items()}
    return replace(bars, **prices, volume=bars.volume[order], extras=extras)


def walk(symbol: str, seed: int, rows: Sequence[int] | np.ndarray | None = None) -> SymbolBars:
    """Return a random walk in cents, with a calm in its middle; rows: the days it has bars on."""
    days = np.arange(INSTANTS) if rows is None else np.asarray(rows)
    random = np.random.default_rng(seed)
    moves = random.normal(0.0, 0.02, len(days))
    moves[len(days) // 2 : len(days) // 2 + 30] = 0.0
    return of_closes(symbol, np.round(100.0 * np.exp(np.cumsum(moves)), 2), days)


def of_closes(
    symbol: str, closes: Sequence[float] | Floats, rows: Sequence[int] | np.ndarray | None = None
) -> SymbolBars:
    """Return bars with these closes, each opening at the close before; rows: their days."""
    close = np.asarray(closes, dtype=np.float64)
    open_ = np.concatenate([close[:1], close[:-1]])
    days = np.arange(len(close)) if rows is None else np.asarray(rows)
    return SymbolBars(
        symbol=symbol,
        stamps=days.astype(np.int64) * DAY,
        open=open_,
        high=np.maximum(open_, close),
        low=np.minimum(open_, close),
        close=close,
        volume=np.full(len(close), 1e6),
    )


HISTORIES = {
    "one": PriceHistory([walk("ONE", 1)]),
    "aligned": PriceHistory([walk("A", 2), walk("B", 3), walk("C", 4)]),
    "unaligned": PriceHistory(
        [
            walk("LATE", 5, np.arange(70, INSTANTS)),
            walk("WHOLE", 6),
            walk("GAPS", 7, [day for day in range(INSTANTS) if day % 7 and day % 70 > 5]),
            walk("ENDED", 8, np.arange(220)),
        ]
    ),
    "constant": PriceHistory([of_closes("FLAT", [0.1] * INSTANTS)]),
}
