"""The trials' returns in their file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trading.research.trials import TrialLog, TrialReturns, sharpe_variance


@pytest.fixture
def log(tmp_path: Path) -> Iterator[TrialLog]:
    with TrialLog(tmp_path / "returns.db") as opened:
        yield opened


def trial(number: int, *returns: float, is_whole: bool = True, fills: int = 3) -> TrialReturns:
    array = np.array(returns or (0.01, -0.02, 0.005))
    return TrialReturns(number=number, is_whole=is_whole, sharpe=float(number), fills=fills, returns=array)


def test_returns_are_kept_to_seven_digits(log: TrialLog) -> None:
    log.put("a", trial(4, 0.0123456789, -0.5))

    [kept] = log.of("a")

    assert (kept.number, kept.is_whole, kept.sharpe, kept.fills) == (4, True, 4.0, 3)
    assert kept.returns == pytest.approx([0.0123456789, -0.5], rel=1e-7)


def test_a_trial_that_is_stored_again_is_there_once(log: TrialLog) -> None:
    log.put("a", trial(1, 0.1))
    log.put("a", trial(1, 0.2))

    assert [each.returns.tolist() for each in log.of("a")] == [[pytest.approx(0.2)]]


def test_the_matrix_has_a_column_for_each_trial_that_went_through_and_traded(log: TrialLog) -> None:
    log.put("a", trial(0, 0.1, 0.2))
    log.put("a", trial(1, 0.3, is_whole=False))
    log.put("a", trial(2, 0.0, 0.0, fills=0))
    log.put("a", trial(3, 0.4, 0.5))
    log.put("b", trial(4, 0.9, 0.9))

    numbers, matrix = log.matrix("a")

    assert numbers == [0, 3]
    assert matrix == pytest.approx(np.array([[0.1, 0.4], [0.2, 0.5]]))


def test_a_study_without_trials_has_an_empty_matrix(log: TrialLog) -> None:
    numbers, matrix = log.matrix("a")

    assert (numbers, matrix.shape) == ([], (0, 0))


def test_pruned_trials_count_in_the_variance_of_the_ratios_idle_ones_have_none(log: TrialLog) -> None:
    """Ratios 1 and 3 (pruned): variance 2 (ddof 1)."""
    log.put("a", trial(1))
    log.put("a", trial(2, fills=0))
    log.put("a", trial(3, is_whole=False))

    assert sharpe_variance(log.sharpes(("a",))) == 2.0


def test_the_variance_of_one_trial_is_none() -> None:
    assert sharpe_variance(np.array([0.3])) == 0.0


def test_the_oldest_studies_are_forgotten_first_but_never_a_present_one(log: TrialLog) -> None:
    """250,000 numbers of 4 bytes are 1 MB a study; 2 MB is room for the present one and the newest other."""
    for number, study in enumerate(("present", "old", "new")):
        log.put(study, trial(number, *np.zeros(250_000)))

    assert log.bound(keep=("present",), max_mb=2.0) == ["old"]
    assert [len(log.of(study)) for study in ("present", "old", "new")] == [1, 0, 1]
