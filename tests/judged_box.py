"""A box with bars, a study and a candidate, for the tests of the jobs that judge strategies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trading.backtest.strategies.registry import made
from trading.marketdata.bars import BarStore
from trading.research.bars import research_bars
from trading.research.candidates import Candidate, Candidates
from trading.research.objective import ResearchSettings, objective, period_sharpe, window_scores
from trading.research.trials import FILE, TrialLog, TrialReturns, sharpe_variance

AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
CUT = date(2020, 12, 31)
FAMILY, STUDY = "moving_average", "nightly-moving_average-0123456789ab"
TRIED: tuple[dict[str, Any], ...] = tuple({"fast": fast, "slow": 50} for fast in (5, 10, 15, 25, 40))
SYMBOLS = ("AAA", "BBB", "CCC")


def closes(seed: int, days: int, drift: float) -> np.ndarray:
    """Prices that rise and fall by `drift` a day, some 120 days each, in 1 % of noise."""
    random = np.random.default_rng(seed)
    side = np.cumprod(np.where(random.random(days) < 1 / 120, -1.0, 1.0))
    return np.asarray(100.0 * np.cumprod(1.0 + drift * side + random.normal(0.0, 0.01, days)))


def write_bars(data_dir: Path, *, drift: float, until: str = "2021-12-31") -> None:
    """Store ten years of bars and one more of each symbol."""
    index = pd.bdate_range("2011-01-03", "2023-12-29", name="date")
    index = index[index <= pd.Timestamp(until)]
    for seed, symbol in enumerate(SYMBOLS):
        close = closes(seed, 3391, drift)[: len(index)]
        before = np.concatenate([[100.0], close[:-1]])
        frame = pd.DataFrame(
            {
                "open": before,
                "high": np.maximum(before, close) * 1.001,
                "low": np.minimum(before, close) * 0.999,
                "close": close,
                "adj_close": close,
                "volume": 1e6,
            },
            index=index,
        )
        BarStore(data_dir).write(symbol, frame, "test", fetched_at=AT)


def search(state_dir: Path, data_dir: Path, tried: tuple[Mapping[str, Any], ...] = TRIED) -> Candidate:
    """Do what a search does, without one: try these, log what they earned, promote the best."""
    settings, history = ResearchSettings(), research_bars(data_dir, SYMBOLS, CUT)
    values, sharpes = [], []
    state_dir.mkdir(parents=True, exist_ok=True)
    with TrialLog(state_dir / FILE) as log:
        for number, parameters in enumerate(tried):
            scores = list(
                window_scores(made(FAMILY, **parameters), history, settings.without_look_ahead_check())
            )
            returns = np.concatenate([score.returns for score in scores])
            sharpes.append(period_sharpe(returns))
            fills = sum(score.fills for score in scores)
            values.append(objective([score.sharpe for score in scores], fills))
            log.put(
                STUDY,
                TrialReturns(number=number, is_whole=True, sharpe=sharpes[-1], fills=fills, returns=returns),
            )
    candidate = Candidate(
        family=FAMILY,
        parameters=tried[int(np.argmax(values))],
        symbols=SYMBOLS,
        settings=settings.to_dict(),
        data_fingerprint=history.fingerprint,
        data_from=date(2011, 1, 3),
        data_to=CUT,
        code_version="0.1.0",
        code_hash="c" * 64,
        seed=7,
        study=STUDY,
        trials=len(tried),
        trial_sharpe_variance=sharpe_variance(np.array(sharpes)),
        objective=max(values),
        created_at=AT,
    )
    with Candidates(state_dir / "ledger.db") as candidates:
        return candidates.add(candidate)


def another(state_dir: Path, candidate: Candidate, **changes: Any) -> Candidate:
    """Add a candidate that differs in this."""
    with Candidates(state_dir / "ledger.db") as candidates:
        return candidates.add(replace(candidate, **changes))
