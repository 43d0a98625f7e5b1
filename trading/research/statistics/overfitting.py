"""The probability of backtest overfitting, by combinatorially symmetric cross-validation.

Source: Bailey, Borwein, Lopez de Prado and Zhu (2015), The probability of backtest overfitting, Journal of
Computational Finance 20(4), 39-69. Equal to ffn 1.4.1's `calc_prob_backtest_overfitting`, including what the
paper leaves open: periods beyond a multiple of the splits are left out at the end, equal ranks are averaged
out of sample and the first of equals wins in sample, and a logit of exactly 0 (the median) counts as
overfitted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
import numpy.typing as npt

from trading.research.statistics import arguments
from trading.research.statistics.arguments import FloatArray

# 24 over 12 are 2.7 million combinations; with more, their logits alone would fill a small box.
MAX_SPLITS = 24
# Arrays of one float per combination and trial that are alive at once, with room to spare.
_ARRAYS_ALIVE = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overfitting:
    """How often the trial that was best in one half of the sample was no better than the median in the other.

    `pbo`: from 0 to 1; 0.5 is a choice as good as none. `logits`: shape (combinations,), in the lexicographic
    order of the blocks taken in sample; log(w / (1 - w)) of the winner's relative rank w out of sample, w =
    rank / (trials + 1). `mean_rank`: the mean of w. `probability_of_loss`: how often the winner's Sharpe
    ratio out of sample was below 0. `periods_left_out`: at the end, beyond a multiple of the splits.
    """

    pbo: float
    mean_rank: float
    probability_of_loss: float
    logits: FloatArray
    splits: int
    trials: int
    periods_left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blocks:
    """Per block and trial, shape (splits, trials), what the Sharpe ratio of any half is made of.

    `squares`: of the deviations from the block's own mean. `often_flat`: the trials that may not vary in some
    half; `lows` and `highs`, shape (splits, len(often_flat)), are their extremes.
    """

    periods: int
    means: FloatArray
    squares: FloatArray
    often_flat: npt.NDArray[np.intp]
    lows: FloatArray
    highs: FloatArray


def probability_of_overfitting(
    returns: npt.ArrayLike,
    splits: int = 16,
    *,
    flat_sharpe: float | None = None,
    memory_limit_mb: float = 64.0,
) -> Overfitting:
    """Return the probability that choosing the best of these trials was overfitting.

    `returns`: shape (periods, trials), rows in time order, one column for EVERY trial of the search, the
    losing ones too. `splits`: even number of blocks, 2 to 24; every choice of half the blocks is in sample
    once, the rest out of sample then; the trials are compared by Sharpe ratio. `flat_sharpe`: the ratio of a
    trial whose returns do not vary within a half (0.0 suits one that stayed out of the market); None refuses
    such trials (ffn's answer is NaN then). `memory_limit_mb`: bound on the working memory beside the input
    (not copied if an array of floats), two blocks of it and the logits, kept by taking fewer combinations at
    once; the result does not depend on it.

    Raises:
        ValueError: if `splits` is odd or out of range, there are fewer than two trials or two periods per
            half, a return or `flat_sharpe` is not finite, or, without that, a trial does not vary in some
            half.
    """
    _check_splits(splits)
    array = arguments.matrix("returns", returns, max(splits, 4), 2)
    blocks = _blocks_of(array, splits)
    return _overfitting(blocks, len(array) % splits, flat_sharpe, memory_limit_mb)


def overfitting_in_pieces(
    pieces: Iterable[npt.ArrayLike],
    splits: int = 16,
    *,
    flat_sharpe: float | None = None,
    memory_limit_mb: float = 64.0,
) -> Overfitting:
    """Return what `probability_of_overfitting` says of trials too many to be held at once.

    `pieces`: some of the trials after the other, each of shape (periods, trials of the piece). Of all trials
    only what their blocks come to is kept, some 600 bytes each with 16 splits. The rest as there. Pieces of
    another size change the last bits of a mean at most, and nothing if each piece is in Fortran order.

    Raises:
        ValueError: as there, and if the pieces have not as many periods each.
    """
    _check_splits(splits)
    parts, periods = [], set()
    for piece in pieces:
        array = arguments.matrix("piece", piece, max(splits, 4), 1)
        periods.add(len(array))
        parts.append(_blocks_of(array, splits))
    if len(periods) != 1 or sum(part.means.shape[1] for part in parts) < 2:
        raise ValueError(
            f"pieces have {sorted(periods)} periods and {sum(part.means.shape[1] for part in parts)} trials "
            "in all: expected as many periods each, and two trials or more"
        )
    return _overfitting(_joined(parts), periods.pop() % splits, flat_sharpe, memory_limit_mb)


def _check_splits(splits: int) -> None:
    if arguments.whole("splits", splits, 2) % 2 or splits > MAX_SPLITS:
        raise ValueError(f"splits is {splits!r}: expected an even number from 2 to {MAX_SPLITS}")


def _overfitting(
    blocks: _Blocks, left_out: int, flat_sharpe: float | None, memory_limit_mb: float
) -> Overfitting:
    if flat_sharpe is None:
        _refuse_flat_halves(blocks)
    elif not math.isfinite(flat_sharpe):
        raise ValueError(f"flat_sharpe is {flat_sharpe!r}: expected None or a finite number")
    ranks, losses = _ranks_out_of_sample(blocks, flat_sharpe or 0.0, memory_limit_mb)
    splits, trials = blocks.means.shape
    relative = ranks / (trials + 1.0)
    logits = np.log(relative / (1.0 - relative))
    return Overfitting(
        pbo=float((logits <= 0.0).mean()),
        mean_rank=float(relative.mean()),
        probability_of_loss=losses / len(ranks),
        logits=logits,
        splits=splits,
        trials=trials,
        periods_left_out=left_out,
    )


def _joined(parts: list[_Blocks]) -> _Blocks:
    """Return the blocks of all trials from those of some after the other."""
    before = np.cumsum([0, *(part.means.shape[1] for part in parts[:-1])])
    return _Blocks(
        periods=parts[0].periods,
        means=np.concatenate([part.means for part in parts], axis=1),
        squares=np.concatenate([part.squares for part in parts], axis=1),
        often_flat=np.concatenate([part.often_flat + n for part, n in zip(parts, before, strict=True)]),
        lows=np.concatenate([part.lows for part in parts], axis=1),
        highs=np.concatenate([part.highs for part in parts], axis=1),
    )


def _blocks_of(array: FloatArray, splits: int) -> _Blocks:
    """Return the pieces of `splits` equal blocks, made block by block."""
    periods, trials = len(array) // splits, array.shape[1]
    means, squares, lows, highs = (np.empty((splits, trials)) for _ in range(4))
    for i in range(splits):
        block = array[i * periods : (i + 1) * periods]
        means[i] = block.mean(axis=0)
        squares[i] = ((block - means[i]) ** 2).sum(axis=0)
        lows[i], highs[i] = block.min(axis=0), block.max(axis=0)
    often = np.flatnonzero((lows == highs).sum(axis=0) >= splits // 2)
    return _Blocks(
        periods=periods,
        means=means,
        squares=squares,
        often_flat=often,
        lows=lows[:, often],
        highs=highs[:, often],
    )


def _refuse_flat_halves(blocks: _Blocks) -> None:
    """Raise ValueError if some trial's returns do not vary within some half of the blocks."""
    for column, trial in enumerate(blocks.often_flat):
        lows, highs = blocks.lows[:, column], blocks.highs[:, column]
        value, times = np.unique(lows[lows == highs], return_counts=True)
        if times.max() >= len(lows) // 2:
            raise ValueError(
                f"returns[:, {trial}] are all {float(value[times.argmax()])!r} in {times.max()} of "
                f"{len(lows)} blocks: expected returns that vary in every half "
                "(leave the trial out, or give flat_sharpe)"
            )


def _ranks_out_of_sample(
    blocks: _Blocks, flat_sharpe: float, memory_limit_mb: float
) -> tuple[FloatArray, int]:
    """Return the winner's rank (1 is worst) per combination, and how many winners lost out of sample."""
    splits, trials = blocks.means.shape
    count = math.comb(splits, splits // 2)
    ranks, losses, done = np.empty(count), 0, 0
    # The second half of all combinations are the complements of the first, backwards.
    combinations_left = islice(combinations(range(splits), splits // 2), count // 2)
    at_once = arguments.rows_within(memory_limit_mb, 8 * _ARRAYS_ALIVE * trials)
    while chunk := list(islice(combinations_left, at_once)):
        taken = np.array(chunk)
        one, other = (_sharpes(blocks, half, flat_sharpe) for half in (taken, _complements(taken, splits)))
        stop = done + len(chunk)
        ranks[done:stop], lost = _ranks_of_winners(one, other)
        backwards, lost_too = _ranks_of_winners(other, one)
        ranks[count - stop : count - done] = backwards[::-1]
        losses, done = losses + lost + lost_too, stop
    return ranks, losses


def _complements(taken: npt.NDArray[np.intp], splits: int) -> npt.NDArray[np.intp]:
    """Return the blocks that each row of `taken`, shape (combinations, splits / 2), leaves; same shape."""
    left = np.ones((len(taken), splits), dtype=bool)
    np.put_along_axis(left, taken, False, axis=1)
    return np.nonzero(left)[1].reshape(taken.shape)


def _sharpes(blocks: _Blocks, taken: npt.NDArray[np.intp], flat_sharpe: float) -> FloatArray:
    """Return each trial's Sharpe ratio over the blocks of each row of `taken`, shape (combinations, trials).

    Added block by block, not as a product of matrices: the same column gives the same bits, so
    that ties stay ties.
    """
    half = taken.shape[1]
    mean = _added(blocks.means, taken) / half
    squares = _added(blocks.squares, taken)
    for j in range(half):
        squares += blocks.periods * (blocks.means[taken[:, j]] - mean) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        sharpes = mean / np.sqrt(squares / (blocks.periods * half - 1))
    if len(blocks.often_flat):
        lows, highs = blocks.lows[taken].min(axis=1), blocks.highs[taken].max(axis=1)
        sharpes[:, blocks.often_flat] = np.where(lows == highs, flat_sharpe, sharpes[:, blocks.often_flat])
    return np.asarray(sharpes)


def _added(per_block: FloatArray, taken: npt.NDArray[np.intp]) -> FloatArray:
    """Return the sum of `per_block` over the blocks of each row of `taken`, shape (combinations, trials)."""
    total = per_block[taken[:, 0]]
    for j in range(1, taken.shape[1]):
        total += per_block[taken[:, j]]
    return total


def _ranks_of_winners(in_sample: FloatArray, out_of_sample: FloatArray) -> tuple[FloatArray, int]:
    """Return the rank out of sample (1 is worst, equals averaged) of each row's best in sample, and how many
    of those had a Sharpe ratio below 0 there."""
    won = np.take_along_axis(out_of_sample, in_sample.argmax(axis=1)[:, None], axis=1)
    below = (out_of_sample < won).sum(axis=1)
    equal = (out_of_sample == won).sum(axis=1)
    return below + (equal + 1) / 2, int((won < 0).sum())
