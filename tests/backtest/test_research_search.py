"""The search in a real SQLite file: killed with SIGKILL at any point, it ends as an unbroken one does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from orchestration.clock import SystemClock
from trading.backtest.bars import Bar
from trading.backtest.history import PriceHistory
from trading.backtest.strategies.registry import STRATEGIES, Between, OneOf, RegisteredStrategy, SearchSpace
from trading.backtest.strategy import Signals, State, Strategy
from trading.research.limits import Limits
from trading.research.objective import ResearchSettings
from trading.research.search import Researches, Study, StudyPlan, TrialEnd, narrowed
from trading.research.walk_forward import WalkForward

GOAL = 12
PLAN = StudyPlan(
    kind="search",
    family="moving_average",
    space={"fast": Between(2, 10), "slow": Between(15, 40), "shorting": OneOf((False, True))},
    settings=ResearchSettings(plan=WalkForward(train=40, test=30, embargo=0)),
    seed=11,
    goal=GOAL,
)
Trial = tuple[str, dict[str, object], float | None]


def listed(study: Study) -> list[Trial]:
    return [(end.state, dict(end.parameters), end.value) for end in study.finished()]


def run_to_goal(directory: Path, history: PriceHistory, step: Callable[[str], None]) -> None:
    with Researches(directory, step=step) as researches:
        study = researches.open(PLAN, history)
        while not study.is_done:
            study.run_trial()


class KillsAt:
    """A step that kills its process when it has been called so often with a name."""

    def __init__(self, name: str, times: int) -> None:
        self.name, self.left = name, times

    def __call__(self, name: str) -> None:
        self.left -= name == self.name
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_at(directory: Path, history: PriceHistory, name: str, times: int) -> None:
    """Search in a fork until it kills itself there."""
    process = get_context("fork").Process(target=run_to_goal, args=(directory, history, KillsAt(name, times)))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.fixture(scope="module")
def unbroken(
    tmp_path_factory: pytest.TempPathFactory, sample_history: PriceHistory
) -> tuple[list[Trial], TrialEnd | None]:
    directory = tmp_path_factory.mktemp("unbroken")
    run_to_goal(directory, sample_history, lambda name: None)
    with Researches(directory) as researches:
        study = researches.open(PLAN, sample_history)
        return listed(study), study.best()


def test_an_unbroken_search_prunes_some_and_finds_the_best_of_the_rest(
    unbroken: tuple[list[Trial], TrialEnd | None],
) -> None:
    trials, best = unbroken

    assert len(trials) == GOAL
    assert {state for state, _, _ in trials} == {"complete", "pruned"}
    values = [value for _, _, value in trials if value is not None]
    assert best is not None
    assert best.value == max(values)


@pytest.mark.parametrize(
    "deaths",
    [
        # One after the other, from the middle of the modelled trials on.
        [("asked", 11), ("window", 3), ("ended", 1)],
        pytest.param([("asked", 1)], marks=pytest.mark.slow),
        pytest.param([("window", 30)], marks=pytest.mark.slow),
        pytest.param([("stored", 5)], marks=pytest.mark.slow),
        pytest.param([("ended", 11)], marks=pytest.mark.slow),
        pytest.param([("told", 5)], marks=pytest.mark.slow),
    ],
    ids=lambda deaths: "+".join(f"{name}{times}" for name, times in deaths),
)
def test_a_killed_search_ends_with_the_trials_and_the_best_of_an_unbroken_one(
    tmp_path: Path,
    sample_history: PriceHistory,
    unbroken: tuple[list[Trial], TrialEnd | None],
    deaths: list[tuple[str, int]],
) -> None:
    for name, times in deaths:
        killed_at(tmp_path, sample_history, name, times)

    run_to_goal(tmp_path, sample_history, lambda name: None)

    with Researches(tmp_path) as researches:
        study = researches.open(PLAN, sample_history)
        best, expected = study.best(), unbroken[1]
        assert listed(study) == unbroken[0]
        assert best is not None
        assert expected is not None
        assert (best.value, best.parameters) == (expected.value, expected.parameters)
        # What is kept of the returns is that of the trials that count, each once.
        kept = [trial.number for trial in researches.returns.of(study.name)]
        assert kept == [end.number for end in study.finished()]


def test_a_stopped_trial_is_run_again_to_the_same_result(
    tmp_path: Path, sample_history: PriceHistory, unbroken: tuple[list[Trial], TrialEnd | None]
) -> None:
    with Researches(tmp_path) as researches:
        study = researches.open(PLAN, sample_history)

        assert study.run_trial(stopped=lambda: True) is None
        assert study.finished() == []
        study.run_trial()
        assert listed(study) == unbroken[0][:1]


def test_another_seed_is_another_search(tmp_path: Path, sample_history: PriceHistory) -> None:
    with Researches(tmp_path) as researches:
        one, other = (researches.open(replace(PLAN, seed=seed), sample_history) for seed in (1, 2))

        assert one.name != other.name
        assert one.run_trial() != other.run_trial()


def test_a_result_on_other_bars_is_not_reused(tmp_path: Path, sample_history: PriceHistory) -> None:
    with Researches(tmp_path) as researches:
        researches.open(PLAN, sample_history).run_trial()

        other = researches.open(PLAN, sample_history.head(240))

        assert other.finished() == []


def test_a_result_of_another_configuration_is_not_reused(
    tmp_path: Path, sample_history: PriceHistory
) -> None:
    with Researches(tmp_path) as researches:
        researches.open(PLAN, sample_history).run_trial()

        settings = replace(PLAN.settings, capital=5000.0)

        assert researches.open(replace(PLAN, settings=settings), sample_history).finished() == []
        assert len(researches.open(PLAN, sample_history).finished()) == 1


def test_a_result_of_other_code_is_not_reused(
    tmp_path: Path, sample_history: PriceHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Researches(tmp_path) as researches:
        researches.open(PLAN, sample_history).run_trial()

        monkeypatch.setattr("trading.research.search.code_hash", lambda modules: "changed")

        assert researches.open(PLAN, sample_history).finished() == []


def test_a_higher_goal_goes_on_with_the_same_study(tmp_path: Path, sample_history: PriceHistory) -> None:
    with Researches(tmp_path) as researches:
        first = researches.open(replace(PLAN, goal=1), sample_history)
        first.run_trial()
        assert first.is_done

        more = researches.open(replace(PLAN, goal=2), sample_history)

        assert not more.is_done
        assert len(more.finished()) == 1


@dataclass(frozen=True)
class Temper:
    """kind: what goes wrong."""

    kind: str = "none"


class Unruly(Strategy):
    """Is slow, hungry or broken, as its parameter says."""

    def on_bar(self, bar: Bar, state: State) -> Signals:
        if self.parameters.kind == "hungry":
            self.kept = np.ones((400, 2**20 // 8))
        elif self.parameters.kind == "slow":
            SystemClock().sleep(0.05)
        elif self.parameters.kind == "broken":
            raise ArithmeticError("no volatility")
        return None


@pytest.fixture
def unruly(monkeypatch: pytest.MonkeyPatch) -> StudyPlan:
    monkeypatch.setitem(
        STRATEGIES,
        "unruly",
        RegisteredStrategy(strategy=Unruly, parameters=Temper, description="does as it is told"),
    )
    monkeypatch.setattr("trading.research.search.code_hash", lambda modules: "0")
    return replace(
        PLAN,
        family="unruly",
        space={"kind": OneOf(("slow", "hungry", "broken", "none"))},
        limits=Limits(seconds=1.5, memory_mb=100),
        goal=8,
    )


@pytest.mark.slow
def test_trials_that_break_a_limit_are_failed_with_the_reason_and_the_study_goes_on(
    tmp_path: Path, sample_history: PriceHistory, unruly: StudyPlan
) -> None:
    with Researches(tmp_path) as researches:
        study = researches.open(unruly, sample_history)
        while not study.is_done:
            study.run_trial()
        ends = {end.parameters["kind"]: (end.state, end.reason) for end in study.finished()}

    assert ends == {
        "slow": ("failed", "took longer than 1.5 s"),
        "hungry": ("failed", "took more than 100 MB"),
        "broken": ("failed", "ArithmeticError: no volatility"),
        "none": ("complete", ""),
    }


def test_a_strategy_that_never_trades_is_no_best(
    tmp_path: Path, sample_history: PriceHistory, unruly: StudyPlan
) -> None:
    plan = replace(unruly, space={"kind": OneOf(("none",))}, goal=1, limits=PLAN.limits)
    with Researches(tmp_path) as researches:
        study = researches.open(plan, sample_history)
        study.run_trial()

        assert study.best() is None


def test_a_finer_space_lies_around_the_best_and_within_the_old_one() -> None:
    """A sixth of 5..65 is 10, of 0..6 one; the best of `low` lies at the edge."""
    space: SearchSpace = {
        "fast": Between(5, 65, 5),
        "low": Between(0.0, 6.0),
        "few": Between(1, 3),
        "kind": OneOf(("a", "b")),
    }

    finer, fixed = narrowed(space, {"fast": 30, "low": 6.0, "few": 2, "kind": "b"})

    assert finer == {"fast": Between(20, 40), "low": Between(5.0, 6.0)}
    assert fixed == {"few": 2, "kind": "b"}


def test_what_a_refined_search_was_chosen_from_counts_as_tried(
    tmp_path: Path, sample_history: PriceHistory
) -> None:
    with Researches(tmp_path) as researches:
        base = researches.open(replace(PLAN, goal=3), sample_history)
        while not base.is_done:
            base.run_trial()
        finer = replace(
            PLAN, kind="refine", space={"fast": Between(3, 5)}, fixed={"slow": 20}, base=base.name
        )
        study = researches.open(finer, sample_history)
        study.run_trial()

        count, variance = study.tried()

        sharpes = [t.sharpe for name in (base.name, study.name) for t in researches.returns.of(name)]
        assert count == 4
        assert variance == pytest.approx(np.var(sharpes, ddof=1))


@pytest.mark.parametrize(("name", "value"), [("family", "momentun"), ("space", {})])
def test_a_plan_without_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        replace(PLAN, **{name: value})  # type: ignore[arg-type]
