"""The probability of overfitting of trials that are not held all at once."""

from __future__ import annotations

import numpy as np
import pytest

from trading.research.statistics.overfitting import overfitting_in_pieces, probability_of_overfitting

RETURNS = np.asfortranarray(np.random.default_rng(5).normal(0.0, 0.01, (163, 23)))


@pytest.mark.parametrize("at_once", [1, 2, 7, 22, 23])
def test_pieces_of_any_size_say_what_the_whole_says(at_once: int) -> None:
    pieces = (RETURNS[:, first : first + at_once] for first in range(0, 23, at_once))

    found = overfitting_in_pieces(pieces, 8)

    whole = probability_of_overfitting(RETURNS, 8)
    assert (found.pbo, found.mean_rank, found.probability_of_loss) == (
        whole.pbo,
        whole.mean_rank,
        whole.probability_of_loss,
    )
    assert np.array_equal(found.logits, whole.logits)
    assert (found.trials, found.splits, found.periods_left_out) == (23, 8, 3)


def test_a_flat_trial_counts_whichever_piece_it_is_in() -> None:
    returns = RETURNS.copy(order="F")
    returns[:, 11] = 0.0

    found = overfitting_in_pieces((returns[:, :9], returns[:, 9:]), 8, flat_sharpe=0.0)

    assert found.pbo == probability_of_overfitting(returns, 8, flat_sharpe=0.0).pbo
    with pytest.raises(ValueError, match=r"returns\[:, 11\] are all 0.0"):
        overfitting_in_pieces((returns[:, :9], returns[:, 9:]), 8)


def test_pieces_of_other_periods_or_of_one_trial_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pieces have \[162, 163\] periods and 6 trials in all"):
        overfitting_in_pieces((RETURNS[:, :3], RETURNS[:162, 3:6]), 8)
    with pytest.raises(ValueError, match="and 1 trials in all"):
        overfitting_in_pieces((RETURNS[:, :1],), 8)
