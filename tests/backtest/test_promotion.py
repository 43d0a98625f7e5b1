"""Which best becomes a candidate, and which does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from trading.backtest.bars import Bar
from trading.backtest.history import Floats, PriceHistory
from trading.backtest.strategies.registry import STRATEGIES, OneOf, RegisteredStrategy
from trading.backtest.strategy import Signals, State, Strategy
from trading.research.candidates import Candidates
from trading.research.objective import ResearchSettings
from trading.research.promotion import Conclusion, conclude, is_concluded
from trading.research.search import Researches, Study, StudyPlan
from trading.research.walk_forward import WalkForward

CUT = date(2000, 9, 30)
AT = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(frozen=True)
class Kind:
    """kind: what it does."""

    kind: str


class Suspect(Strategy):
    """Holds the first symbol, or sells it short; with bars to come in mind, or breaks."""

    def on_bar(self, bar: Bar, state: State) -> Signals:
        raise NotImplementedError

    def signals(self, history: PriceHistory) -> Floats:
        if self.parameters.kind == "breaks":
            raise ArithmeticError("no model")
        weights = np.full((len(history), len(history.bars)), np.nan)
        close = next(iter(history.bars.values())).close
        if self.parameters.kind == "looks ahead":
            weights[:-1, 0] = np.where(np.diff(close) > 0, 1.0, 0.0)
        else:
            weights[0, 0] = 1.0 if self.parameters.kind == "rises" else -1.0
        return weights


@pytest.fixture
def researches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Researches]:
    monkeypatch.setitem(
        STRATEGIES, "suspect", RegisteredStrategy(strategy=Suspect, parameters=Kind, description="is suspect")
    )
    monkeypatch.setattr("trading.research.search.code_hash", lambda modules: "0")
    with Researches(tmp_path) as opened:
        yield opened


@pytest.fixture
def candidates(tmp_path: Path) -> Iterator[Candidates]:
    with Candidates(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def rising(sample_history: PriceHistory) -> PriceHistory:
    """A price that rises by 0.1 to 0.3 % a day."""
    bars = sample_history.bars["UP"]
    close: Floats = 1.002 + 0.001 * np.sin(np.arange(len(bars), dtype=np.float64))
    close = 100.0 * close.cumprod()
    open_ = np.concatenate([[100.0], close[:-1]])
    return PriceHistory([replace(bars, open=open_, high=close, low=open_, close=close)])


def searched(researches: Researches, history: PriceHistory, kind: str, trials: int = 1) -> Study:
    plan = StudyPlan(
        kind="search",
        family="suspect",
        space={"kind": OneOf((kind,))},
        settings=ResearchSettings(plan=WalkForward(train=40, test=50, embargo=0)),
        seed=1,
        goal=trials,
    )
    study = researches.open(plan, history)
    while not study.is_done:
        study.run_trial()
    return study


def test_a_best_that_earns_and_can_be_made_again_is_a_candidate(
    researches: Researches, candidates: Candidates, rising: PriceHistory
) -> None:
    study = searched(researches, rising, "rises")

    found = conclude(study, candidates, cut=CUT, at=AT)

    [candidate] = candidates.of_status()
    assert found == Conclusion(trials=1, candidate_id=candidate.candidate_id, reason="")
    assert (candidate.parameters, candidate.study, candidate.data_to) == ({"kind": "rises"}, study.name, CUT)
    assert candidate.data_fingerprint == rising.fingerprint
    assert is_concluded(study)


def test_a_best_that_knows_bars_to_come_is_never_a_candidate(
    researches: Researches, candidates: Candidates, sample_history: PriceHistory
) -> None:
    study = searched(researches, sample_history, "looks ahead")
    best = study.best()
    assert best is not None
    assert best.value is not None
    assert best.value > 5

    found = conclude(study, candidates, cut=CUT, at=AT)

    assert found is not None
    assert "LookAheadError" in found.reason
    assert candidates.of_status() == []


def test_a_best_that_loses_is_no_candidate(
    researches: Researches, candidates: Candidates, rising: PriceHistory
) -> None:
    found = conclude(searched(researches, rising, "falls"), candidates, cut=CUT, at=AT)

    assert found is not None
    assert "expected more than 0.000" in found.reason
    assert candidates.of_status() == []


def test_a_family_of_which_every_trial_fails_is_left_with_the_reason(
    researches: Researches, candidates: Candidates, rising: PriceHistory
) -> None:
    study = searched(researches, rising, "breaks", trials=50)

    found = conclude(study, candidates, cut=CUT, at=AT)

    assert len(study.finished()) == 5
    assert found == Conclusion(
        trials=5, candidate_id=None, reason="every trial failed: ArithmeticError: no model"
    )


def test_a_finer_search_that_finds_nothing_better_adds_no_candidate(
    researches: Researches, candidates: Candidates, rising: PriceHistory
) -> None:
    base = searched(researches, rising, "rises")
    best = base.best()
    assert best is not None
    assert best.value is not None
    finer = researches.open(replace(base.plan, kind="refine", base=base.name, hurdle=best.value), rising)
    finer.run_trial()

    found = conclude(finer, candidates, cut=CUT, at=AT)

    assert found is not None
    assert f"expected more than {best.value:.3f}" in found.reason
    assert candidates.of_status() == []


def test_a_conclusion_that_is_stopped_is_drawn_the_next_time(
    researches: Researches, candidates: Candidates, rising: PriceHistory
) -> None:
    study = searched(researches, rising, "rises")

    assert conclude(study, candidates, cut=CUT, at=AT, stopped=lambda: True) is None
    assert not is_concluded(study)
    assert conclude(study, candidates, cut=CUT, at=AT) is not None


def test_a_study_that_went_on_is_concluded_anew(
    researches: Researches, candidates: Candidates, rising: PriceHistory
) -> None:
    study = searched(researches, rising, "rises")
    conclude(study, candidates, cut=CUT, at=AT)

    study.run_trial()

    assert not is_concluded(study)
