"""Subjects of known worth for the tests of validation: one with an edge that is there, and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from trading.backtest.history import Floats, PriceHistory, SymbolBars
from trading.backtest.strategies.registry import Between, SearchSpace
from trading.backtest.strategy import IStrategy, Strategy
from trading.research.candidates import Candidate
from trading.research.objective import ResearchSettings, annual_sharpe, period_sharpe
from trading.research.validation.study import HeldReturns
from trading.research.validation.subject import Subject
from trading.research.walk_forward import WalkForward

DAY = 86_400 * 10**9
STUDIED, LATER = 1_500, 260
SETTINGS = ResearchSettings(plan=WalkForward(train=252, test=104, embargo=0))
"""Twelve windows of 104 days, 1,248 in all."""
SPACE: SearchSpace = {"lookback": Between(2, 40, 2)}


def bars_of(returns: Floats, symbol: str = "X") -> SymbolBars:
    """Return bars that open where the one before closed, from 2010-01-01 on."""
    close = np.asarray(100.0 * np.cumprod(1.0 + returns), dtype=np.float64)
    open_ = np.concatenate([[100.0], close[:-1]])
    return SymbolBars(
        symbol=symbol,
        stamps=np.arange(len(close), dtype=np.int64) * DAY + 14_610 * DAY,
        open=open_,
        high=np.maximum(open_, close),
        low=np.minimum(open_, close),
        close=close,
        volume=np.full(len(close), 1e6),
    )


def trending(seed: int = 1, days: int = STUDIED + LATER) -> Floats:
    """Returns whose mean is +0.4 % or -0.4 % a day and turns every 40 days or so: the last days tell it."""
    random = np.random.default_rng(seed)
    side = np.cumprod(np.where(random.random(days) < 1 / 40, -1.0, 1.0))
    return np.asarray(0.004 * side + random.normal(0.0, 0.01, days))


def noise(seed: int, days: int = STUDIED + LATER) -> Floats:
    """Returns of 1 % a day that nothing tells of."""
    return np.random.default_rng(seed).normal(0.0, 0.01, days)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowParameters:
    """lookback: days over which the price has to have risen."""

    lookback: int = 10


class Follow(Strategy):
    """Long while the price is above that of `lookback` days ago."""

    def __init__(self, parameters: FollowParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self.warmup = parameters.lookback

    def signals(self, history: PriceHistory) -> Floats:
        (bars,) = history.bars.values()
        back = self.parameters.lookback
        held = np.zeros(len(bars))
        held[back:] = bars.close[back:] > bars.close[:-back]
        return held


class Guess(Strategy):
    """Long or flat by the day's number and its seed alone, for five days each."""

    def signals(self, history: PriceHistory) -> Floats:
        drawn = np.random.default_rng(self.parameters.lookback).random(5_000) < 0.5
        return np.asarray(drawn[history.stamps // DAY // 5].astype(np.float64))


def subject_from(
    returns: Floats,
    kind: type[Strategy] = Follow,
    lookbacks: Sequence[int] = tuple(range(2, 42, 4)),
    **changes: Any,
) -> Subject:
    """Return the best of these parameters on the first 1,500 days, as its search would have promoted it."""
    whole = PriceHistory([bars_of(returns)])
    studied = whole.head(STUDIED)

    def make(parameters: Mapping[str, Any]) -> IStrategy:
        return kind(FollowParameters(**parameters))

    candidate = Candidate(
        candidate_id="follow-1",
        family="follow",
        parameters={"lookback": 2},
        symbols=("X",),
        settings=SETTINGS.to_dict(),
        data_fingerprint=studied.fingerprint,
        data_from=date(2010, 1, 1),
        data_to=date(2014, 2, 8),
        code_version="0",
        code_hash="0",
        seed=7,
        study="nightly-follow-0",
        trials=len(lookbacks),
        trial_sharpe_variance=0.0,
        objective=0.0,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    given: dict[str, Any] = {
        "candidate": candidate,
        "settings": SETTINGS,
        "studied": studied,
        "later": whole if len(whole) > STUDIED else None,
        "make": make,
        "space": SPACE,
        "study": None,
    }
    trials = Subject(**given)
    replays = [trials.run({"lookback": each}, with_new=False) for each in lookbacks]
    best = int(np.argmax([annual_sharpe(replay.tested_returns) for replay in replays]))
    sharpes = [period_sharpe(replay.tested_returns) for replay in replays]
    found = replace(
        candidate,
        parameters={"lookback": lookbacks[best]},
        objective=replays[best].objective,
        trial_sharpe_variance=float(np.var(sharpes, ddof=1)),
    )
    study = HeldReturns(np.column_stack([replay.tested_returns for replay in replays]))
    return Subject(**{**given, "candidate": found, "study": study, **changes})
