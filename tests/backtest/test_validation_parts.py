"""The parts of a validation, by hand calculation."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.backtest.judged_subjects import SETTINGS, noise, subject_from
from trading.backtest.config import BacktestConfig
from trading.backtest.costs import Commission, Financing, Slippage
from trading.backtest.strategies.registry import Between, OneOf, SearchSpace
from trading.research.objective import annual_sharpe
from trading.research.trials import TrialLog, TrialReturns
from trading.research.validation.memory import MemoryBudget, peak_mb, resident_mb
from trading.research.validation.neighbours import neighbours_in
from trading.research.validation.of_other_runs import costs_tripled, sensitivity
from trading.research.validation.of_the_study import choices_of, overfitting, walk_forward
from trading.research.validation.of_the_trades import drawdown, ruin
from trading.research.validation.outcome import Question, Rule, Status, TestOutcome
from trading.research.validation.progress import Progress
from trading.research.validation.stress import has_costs, stressed
from trading.research.validation.study import HeldReturns, LoggedReturns
from trading.research.validation.subject import Subject
from trading.research.validation.thresholds import Thresholds
from trading.research.validation.verdict import VerdictKind, judge
from trading.research.walk_forward import WalkForward

PLENTY = MemoryBudget(1500, lambda: 100.0)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return subject_from(noise(51))


# --- outcomes and verdicts


@pytest.mark.parametrize(
    ("rule", "below", "at", "above"),
    [
        (Rule.AT_LEAST, Status.FAILED, Status.PASSED, Status.PASSED),
        (Rule.ABOVE, Status.FAILED, Status.FAILED, Status.PASSED),
        (Rule.AT_MOST, Status.PASSED, Status.PASSED, Status.FAILED),
    ],
)
def test_a_value_is_held_to_its_threshold_exactly(
    rule: Rule, below: Status, at: Status, above: Status
) -> None:
    asked = Question("x", rule, 0.95)

    answers = [asked.answered(value, "").status for value in (math.nextafter(0.95, 0), 0.95, 0.9500001)]

    assert answers == [below, at, above]


def test_a_value_that_is_no_number_fails_and_is_none_in_the_document() -> None:
    for rule in Rule:
        outcome = Question("x", rule, 0.0).answered(math.nan, "why", more=math.inf)

        assert (outcome.status, outcome.value, outcome.figures) == (Status.FAILED, None, {"more": None})


def outcome(name: str, status: Status) -> TestOutcome:
    return TestOutcome(name=name, status=status, value=1.0, rule=Rule.AT_LEAST, threshold=2.0, text="so")


@pytest.mark.parametrize(
    ("statuses", "kind", "reasons"),
    [
        ({"a": "passed", "b": "passed"}, VerdictKind.VALIDATED, 0),
        ({"a": "passed", "b": "failed", "c": "failed"}, VerdictKind.REJECTED, 2),
        ({"a": "passed", "b": "undecided"}, VerdictKind.INCONCLUSIVE, 1),
        # What failed has told something, whatever else is missing ...
        ({"a": "failed", "out_of_sample": "undecided"}, VerdictKind.REJECTED, 1),
        # ... unless all of it rests on too little.
        ({"enough_trades": "undecided", "a": "failed"}, VerdictKind.INCONCLUSIVE, 1),
        ({"enough_returns": "undecided", "a": "failed", "b": "undecided"}, VerdictKind.INCONCLUSIVE, 1),
    ],
)
def test_a_verdict_follows_from_the_outcomes(
    statuses: dict[str, str], kind: VerdictKind, reasons: int
) -> None:
    judgement = judge([outcome(name, Status(status)) for name, status in statuses.items()])

    assert (judgement.kind, len(judgement.reasons)) == (kind, reasons)


def test_a_reason_says_number_threshold_and_why() -> None:
    assert judge([outcome("deflated_sharpe", Status.FAILED)]).reasons == (
        "deflated_sharpe is 1, not at least 2: so",
    )


def test_no_outcome_is_no_verdict() -> None:
    with pytest.raises(ValueError, match="outcomes is empty"):
        judge([])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"least_trades": 1}, "least_trades is 1: expected a whole number from 2 up"),
        ({"deflated_sharpe": 1.0}, "deflated_sharpe is 1.0: expected a number between 0 and 1"),
        ({"drawdown": 0.4}, "drawdown is 0.4: expected a number between -1 and 0"),
        ({"bootstrap_low": math.nan}, "bootstrap_low is nan: expected a finite number"),
    ],
)
def test_a_threshold_without_sense_is_refused(change: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Thresholds(**change)  # type: ignore[arg-type]


# --- memory


def test_a_piece_is_half_of_the_room_below_nine_tenths_of_the_limit() -> None:
    # 0.9 * 400 - 160 = 200 MB of room.
    assert MemoryBudget(400, lambda: 160.0).piece_mb() == 100.0
    assert MemoryBudget(400, lambda: 390.0).piece_mb() == 1.0
    assert MemoryBudget(9000, lambda: 160.0).piece_mb() == 256.0


def test_the_kernel_says_what_this_process_holds() -> None:
    assert 10 < resident_mb() <= peak_mb() < 100_000


# --- costs


def test_every_cost_is_multiplied_and_nothing_else() -> None:
    config = BacktestConfig(
        commission=Commission(per_trade=1.0, per_share=0.01, bps=2.0, minimum=0.5),
        slippage=Slippage(per_share=0.02, spread_bps=4.0, impact=0.9, impact_bars=30, max_participation=0.1),
        financing=Financing(cash_rate=0.03, borrow_rate=0.05),
        delisting_recovery=0.5,
    )

    assert stressed(config, 2.0) == BacktestConfig(
        commission=Commission(per_trade=2.0, per_share=0.02, bps=4.0, minimum=1.0),
        slippage=Slippage(per_share=0.04, spread_bps=8.0, impact=1.8, impact_bars=30, max_participation=0.1),
        financing=Financing(cash_rate=0.03, borrow_rate=0.1),
        delisting_recovery=0.5,
    )
    assert stressed(config, 1.0) == config
    assert not has_costs(stressed(config, 0.0))
    assert has_costs(config)


def test_costs_of_nothing_cannot_be_stressed(subject: Subject) -> None:
    free = copy(subject)
    free.settings = replace(SETTINGS, config=BacktestConfig())

    assert costs_tripled(free, Thresholds(), PLENTY).status is Status.UNDECIDED


# --- neighbours


def test_neighbours_are_a_step_away_inside_the_bounds() -> None:
    space: SearchSpace = {
        "slow": Between(50, 250, 10),
        "bars": Between(2, 30),
        "width": Between(1.0, 3.0),
        "reach": Between(1.0, 1000.0, log=True),
        "average": OneOf(("simple", "exponential")),
        "shorting": OneOf((False, True)),
    }
    parameters = {"slow": 50, "bars": 10, "width": 2.0, "reach": 10.0, "average": "simple", "shorting": True}

    near = neighbours_in(space, parameters)

    # slow: 40 is out of bounds. bars: a tenth of 28 is 2.8, so 7.2 and 12.8. reach: 1000^0.1 = 1.99526.
    changed = [(name, one[name]) for one in near for name in parameters if one[name] != parameters[name]]
    assert changed == [
        ("slow", 60),
        ("bars", 7),
        ("bars", 13),
        ("width", pytest.approx(1.8)),
        ("width", pytest.approx(2.2)),
        ("reach", pytest.approx(10 / 1.99526, rel=1e-5)),
        ("reach", pytest.approx(19.9526, rel=1e-5)),
    ]


def test_a_whole_number_always_moves_by_one_at_least() -> None:
    assert [each["hold"] for each in neighbours_in({"hold": Between(1, 5)}, {"hold": 3})] == [2, 4]
    assert [each["hold"] for each in neighbours_in({"hold": Between(1, 5)}, {"hold": 5})] == [4]


def test_where_no_number_was_searched_there_is_nothing_to_be_sensitive_to(subject: Subject) -> None:
    plain = copy(subject)
    plain.space = {"average": OneOf(("simple",))}

    assert sensitivity(plain, Thresholds(), PLENTY).status is Status.PASSED


def test_the_fall_is_that_of_the_neighbours_run_again(subject: Subject) -> None:
    back = subject.candidate.parameters["lookback"]
    scores = [
        annual_sharpe(subject.run({"lookback": each}, with_new=False).tested_returns)
        for each in (back - 2, back + 2)
        if 2 <= each <= 40
    ]
    best = annual_sharpe(subject.replay.tested_returns)

    found = sensitivity(subject, Thresholds(), PLENTY)

    assert found.value == pytest.approx((best - float(np.median(scores))) / abs(best))


# --- the study's trials


def windows_of(*means: tuple[float, ...]) -> HeldReturns:
    """Return trials whose returns alternate around a mean per window of four days."""
    swing = np.array([0.01, -0.01, 0.01, -0.01])
    return HeldReturns(np.column_stack([np.concatenate([m + swing for m in trial]) for trial in means]))


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_each_window_follows_the_best_of_those_before_it(at_once: int) -> None:
    # After window 1 trial 0 leads; after two, 1 does (mean 0.015 against 0.010); after three, 2.
    trials = windows_of((0.02, 0.00, 0.00, 0.00), (0.01, 0.02, 0.00, 0.01), (0.00, 0.01, 0.07, 0.02))

    assert choices_of(trials, 4, at_once) == [0, 1, 2]


def test_the_followed_returns_are_stitched(subject: Subject) -> None:
    trials = windows_of((0.02, 0.00, 0.00, 0.00), (0.01, 0.02, 0.00, 0.01), (0.00, 0.01, 0.07, 0.02))
    other = copy(subject)
    other.study = trials
    other.settings = replace(SETTINGS, plan=WalkForward(train=4, test=4, embargo=0))
    # Trial 0 in window 2 (mean 0), trial 1 in window 3 (mean 0), trial 2 in window 4 (mean 0.02).
    swing = np.array([0.01, -0.01, 0.01, -0.01])
    followed = np.concatenate([swing, swing, 0.02 + swing])

    found = walk_forward(other, Thresholds(), PLENTY)

    assert found.value == pytest.approx(followed.mean() / followed.std(ddof=1) * math.sqrt(252))
    assert found.figures["different"] == 3


def test_overfitting_is_bounded_by_what_it_costs(subject: Subject) -> None:
    """Trials that share an edge: the choice among them is worthless, but never loses."""
    random = np.random.default_rng(3)
    shared = copy(subject)
    shared.study = HeldReturns(random.normal(0.002, 0.01, (1600, 1)) + random.normal(0, 0.001, (1600, 20)))

    found = overfitting(shared, Thresholds(splits=8), PLENTY)

    assert found.figures["probability_of_overfitting"] > 0.25
    assert (found.value, found.status) == (0.0, Status.PASSED)


def test_logged_returns_are_those_of_the_log_in_pieces_of_any_size(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    with TrialLog(tmp_path / "returns.db") as log:
        for number in range(7):
            log.put(
                "study",
                TrialReturns(
                    number=number,
                    is_whole=number != 2,
                    sharpe=0.0,
                    fills=0 if number == 4 else 9,
                    returns=random.normal(0, 0.01, 50),
                ),
            )
        _, matrix = log.matrix("study")

    found = LoggedReturns(tmp_path / "returns.db", "study")

    assert (found.periods, found.trials) == matrix.shape == (50, 5)
    for at_once in (1, 2, 5, 100):
        assert np.array_equal(np.column_stack(list(found.pieces(at_once))), matrix)
    assert np.array_equal(found.of(3), matrix[:, 3])
    assert LoggedReturns(tmp_path / "returns.db", "another").trials == 0


# --- trades


def test_ruin_and_drawdown_of_trades_that_all_win_or_all_lose(subject: Subject) -> None:
    class Traded:
        trade_returns = np.full(40, -0.02)

    other = copy(subject)
    other.__dict__["replay"] = Traded()

    # 0.98^40 = 0.4457: every sequence ends below half, 55 % below its peak.
    assert ruin(other, Thresholds(runs=50), PLENTY).value == 1.0
    assert drawdown(other, Thresholds(runs=50), PLENTY).value == pytest.approx(0.98**40 - 1)
    Traded.trade_returns = np.full(40, 0.02)
    assert ruin(other, Thresholds(runs=50), PLENTY).value == 0.0
    assert drawdown(other, Thresholds(runs=50), PLENTY).value == 0.0


# --- progress


def test_progress_of_another_basis_or_torn_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "progress.json"
    Progress(path, {"bars": 1}).keep(outcome("ruin", Status.FAILED))

    assert Progress(path, {"bars": 1}).done == {"ruin": outcome("ruin", Status.FAILED)}
    assert Progress(path, {"bars": 2}).done == {}
    path.write_text(path.read_text()[:-9])
    assert Progress(path, {"bars": 1}).done == {}
