"""The probability of backtest overfitting: by hand, by simulation, and within its bound on memory."""

from __future__ import annotations

import math
import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.research.statistics.arguments import FloatArray
from trading.research.statistics.overfitting import probability_of_overfitting


def noise(seed: int, periods: int, trials: int) -> FloatArray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (periods, trials))


def test_a_winner_that_comes_last_out_of_sample_is_overfitted_by_hand() -> None:
    # Two blocks of two periods. Sharpe ratios (times sqrt(2)): the first trial's means are 2 and -2, each
    # with deviations of +-1, the second's -2 and 2. Whichever block is in sample, its winner is last in the
    # other: rank 1 of 2, w = 1/3, logit log(1/2) both times.
    returns = [[3.0, -3.0], [1.0, -1.0], [-3.0, 3.0], [-1.0, 1.0]]

    found = probability_of_overfitting(returns, splits=2)

    assert (found.pbo, found.probability_of_loss) == (1.0, 1.0)
    assert found.logits == pytest.approx([math.log(0.5)] * 2, rel=1e-14)
    assert found.mean_rank == pytest.approx(1 / 3)


def test_a_winner_that_stays_first_is_not_overfitted_by_hand() -> None:
    # The first trial has the better ratio in both blocks: rank 2 of 2, w = 2/3, logit log(2).
    found = probability_of_overfitting([[3.0, 1.0], [2.0, -1.0], [3.0, 1.0], [2.0, -2.0]], splits=2)

    assert (found.pbo, found.probability_of_loss) == (0.0, 0.0)
    assert found.logits == pytest.approx([math.log(2)] * 2, rel=1e-14)


def test_the_block_sums_give_what_whole_samples_give() -> None:
    """A second method: every combination's periods put together, numpy's mean and std over them."""
    returns = noise(5, 61, 9) + 0.03
    expected = []
    for chosen in combinations(range(6), 3):
        blocks = np.arange(60).reshape(6, 10)
        inside = returns[blocks[list(chosen)].ravel()]
        outside = returns[np.delete(blocks, chosen, axis=0).ravel()]
        winner = (inside.mean(axis=0) / inside.std(axis=0, ddof=1)).argmax()
        outcome = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        rank = 1 + (outcome < outcome[winner]).sum()
        expected.append(math.log(rank / (10 - rank)))

    found = probability_of_overfitting(returns, splits=6)

    assert found.logits == pytest.approx(expected, rel=1e-14)
    assert found.periods_left_out == 1


def test_choosing_among_pure_noise_is_overfitting_half_the_time() -> None:
    """The mean over 100 seeded searches; one alone may be anywhere."""
    found = [probability_of_overfitting(noise(seed, 400, 10), splits=8).pbo for seed in range(100)]

    assert float(np.mean(found)) == pytest.approx(0.5, abs=0.08)


def test_choosing_the_one_with_skill_is_not_overfitting() -> None:
    returns = noise(1, 800, 20)
    returns[:, 7] += 0.004

    found = probability_of_overfitting(returns)

    assert found.pbo < 0.001
    assert found.probability_of_loss < 0.001


@given(
    seed=st.integers(0, 10_000),
    splits=st.sampled_from([2, 4, 6]),
    trials=st.integers(2, 8),
    periods=st.integers(12, 40),
)
def test_probabilities_and_ranks_are_shares_whatever_the_returns(
    seed: int, splits: int, trials: int, periods: int
) -> None:
    found = probability_of_overfitting(noise(seed, periods, trials), splits)

    assert 0 <= found.pbo <= 1
    assert 0 <= found.probability_of_loss <= 1
    # Up to the rounding of a mean.
    assert 1 - 1e-9 <= found.mean_rank * (trials + 1) <= trials + 1e-9
    assert len(found.logits) == math.comb(splits, splits // 2)


@given(seed=st.integers(0, 1000), factor=st.sampled_from([0.25, 2.0, 1024.0]))
def test_leverage_changes_nothing(seed: int, factor: float) -> None:
    """Powers of two, which change no digit."""
    returns = noise(seed, 30, 5)

    plain, levered = (probability_of_overfitting(r, 4) for r in (returns, returns * factor))

    assert np.array_equal(plain.logits, levered.logits)


@pytest.mark.parametrize("memory_limit_mb", [1e-6, 0.01, 0.3, 1000.0])
def test_the_size_of_the_chunks_changes_nothing(memory_limit_mb: float) -> None:
    returns = noise(2, 100, 12)

    whole = probability_of_overfitting(returns, splits=10)
    chunked = probability_of_overfitting(returns, splits=10, memory_limit_mb=memory_limit_mb)

    assert np.array_equal(whole.logits, chunked.logits)
    assert whole.probability_of_loss == chunked.probability_of_loss


def test_memory_stays_within_the_limit() -> None:
    """12,870 combinations of 500 trials at once would be 51 MB for each of several arrays."""
    returns = noise(3, 320, 500)

    tracemalloc.start()
    probability_of_overfitting(returns, memory_limit_mb=4.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4e6


def test_equal_trials_share_their_rank() -> None:
    # Nothing but copies: the first wins, and its rank out of sample is the mean one, which is the median.
    found = probability_of_overfitting(np.repeat(noise(4, 40, 1), 5, axis=1), splits=4)

    assert found.logits == pytest.approx(np.zeros(6), abs=1e-15)
    assert found.pbo == 1.0


def test_a_trial_out_of_the_market_for_half_the_time_is_refused_by_column_and_value() -> None:
    returns = noise(6, 40, 3)
    returns[10:30, 1] = 0.0

    with pytest.raises(
        ValueError, match=r"returns\[:, 1\] are all 0\.0 in 2 of 4 blocks: expected returns that"
    ):
        probability_of_overfitting(returns, splits=4)


def test_a_trial_out_of_the_market_can_be_given_a_ratio_of_0() -> None:
    # Beside one trial that always loses, the idle one wins in every half: rank 2 of 2.
    returns = noise(7, 40, 2) - 0.05
    returns[:, 1] = 0.0

    found = probability_of_overfitting(returns, splits=4, flat_sharpe=0.0)

    assert (found.pbo, found.probability_of_loss) == (0.0, 0.0)
    assert found.mean_rank == pytest.approx(2 / 3)


def test_a_ratio_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="flat_sharpe is nan: expected None or a finite number"):
        probability_of_overfitting(noise(7, 40, 2), splits=4, flat_sharpe=math.nan)


def test_a_trial_that_is_flat_in_single_blocks_alone_needs_no_such_ratio() -> None:
    returns = noise(8, 40, 3)
    returns[10:20, 1], returns[30:40, 1] = 0.0, 0.01

    assert len(probability_of_overfitting(returns, splits=4).logits) == 6


@pytest.mark.parametrize(
    ("periods", "trials", "splits", "message"),
    [
        (40, 5, 7, "splits is 7: expected an even number from 2 to 24"),
        (40, 5, 26, "splits is 26: expected an even number"),
        (40, 5, 0, "splits is 0: expected a whole number from 2 up"),
        (40, 1, 8, r"returns has shape \(40, 1\): .* at least 8 periods and 2 trials"),
        (7, 5, 8, r"returns has shape \(7, 5\): .* at least 8 periods and 2 trials"),
    ],
)
def test_too_little_to_split_is_refused_by_name_and_value(
    periods: int, trials: int, splits: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        probability_of_overfitting(noise(1, periods, trials), splits)


def test_a_missing_return_is_refused_by_its_place() -> None:
    returns = noise(1, 40, 5)
    returns[33, 4] = math.nan

    with pytest.raises(ValueError, match=r"returns\[33, 4\] is nan: expected finite numbers"):
        probability_of_overfitting(returns, 4)


def test_a_limit_of_no_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="memory_limit_mb is 0: expected a number above 0"):
        probability_of_overfitting(noise(1, 40, 5), 4, memory_limit_mb=0)
