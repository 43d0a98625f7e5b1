"""A learned strategy: what followed on bars like these is taken to follow again."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from trading.backtest.bars import Bar
from trading.backtest.history import Floats, SymbolBars
from trading.backtest.indicators import started
from trading.backtest.learning.features import LOOKBACK, features, outcomes
from trading.backtest.learning.model import LEAST_SAMPLES, fit_direction
from trading.backtest.strategies.each_symbol import (
    EachSymbol,
    Rule,
    Sides,
    SymbolParameters,
    keep_whole,
    latched,
)
from trading.backtest.strategy import Signals, State
from trading.execution.checking import finite, positive


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardProbability:
    """The probability that the price rises from the next open to the close `horizon` bars on.

    By a logistic regression that is fitted again every `refit` bars on the last `window` decisions whose
    outcome is known by then: the newest of them was made `horizon` bars before.

    NaN before the first fit. A window of rises alone, or of falls, leaves the model before it in use.

    Raises NotInstalledError without scikit-learn.
    """

    horizon: int
    window: int
    refit: int
    penalty: float

    @property
    def warmup(self) -> int:
        return LOOKBACK + self.window - 1 + self.horizon

    def __call__(self, bars: SymbolBars) -> Floats:
        chances = np.full(len(bars), np.nan)
        rows, rises = features(bars), (outcomes(bars, self.horizon) > 0.0).astype(np.float64)
        model = None
        for now in range(self.warmup, len(bars), self.refit):
            # The outcome of the decision at bar i is known at bar i + horizon: `now` at the latest.
            last = now - self.horizon + 1
            seen = slice(last - self.window, last)
            model = fit_direction(rows[seen], rises[seen], self.penalty) or model
            if model is not None:
                chances[now : now + self.refit] = model.probabilities(rows[now : now + self.refit])
        return chances


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedParameters(SymbolParameters):
    """horizon, window, refit, penalty: of the model (`WalkForwardProbability`, `fit_direction`). entry: long
    above this probability of a rise, until it falls below `exit`. shorting: whether it is short the other way
    round, from below 1 - entry to above 1 - exit.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    horizon: int = 5
    window: int = 504
    refit: int = 63
    penalty: float = 10.0
    entry: float = 0.53
    exit: float = 0.5
    shorting: bool = False

    def __post_init__(self) -> None:
        SymbolParameters.__post_init__(self)
        keep_whole(self, "horizon", 1)
        keep_whole(self, "window", LEAST_SAMPLES)
        keep_whole(self, "refit", 1)
        positive("penalty", self.penalty)
        if not 0.5 < finite("entry", self.entry) < 1.0:
            raise ValueError(f"entry is {self.entry!r}: expected a probability above 0.5 and below 1")
        if not 1.0 - self.entry < finite("exit", self.exit) <= self.entry:
            raise ValueError(
                f"exit is {self.exit!r}: expected a probability above 1 - entry, up to entry = {self.entry!r}"
            )


class Learned(EachSymbol):
    """Long while the price probably rises; each symbol by a model of its own bars, walk-forward.

    Needs scikit-learn (`make setup-learn`): a backtest without it ends with a NotInstalledError.
    """

    parameters: LearnedParameters

    def __init__(self, parameters: LearnedParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self._chance = WalkForwardProbability(
            horizon=parameters.horizon,
            window=parameters.window,
            refit=parameters.refit,
            penalty=parameters.penalty,
        )
        self.indicators = (self._chance,)
        self.warmup = self._chance.warmup

    def on_bar(self, bar: Bar, state: State) -> Signals:
        # The rule follows the probability in place of the close.
        return super().on_bar(bar._replace(close=bar.values[0]), state)

    def rule(self) -> Rule:
        return started(self._turns())

    def _turns(self) -> Generator[int | None, float, None]:
        rules = self.parameters
        held, answer = 0, None
        while True:
            chance = yield answer
            side = held
            if chance > rules.entry:
                side = 1
            elif rules.shorting and chance < 1.0 - rules.entry:
                side = -1
            elif (held > 0 and chance < rules.exit) or (held < 0 and chance > 1.0 - rules.exit):
                side = 0
            answer = None if side == held else side
            held = side

    def sides(self, bars: SymbolBars) -> Sides:
        rules, chance = self.parameters, self._chance(bars)
        low = (chance < 1.0 - rules.entry) & rules.shorting
        return latched(chance > rules.entry, low, chance < rules.exit, chance > 1.0 - rules.exit)
