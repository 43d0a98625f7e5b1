"""What the study's other trials say of the choice of this one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trading.backtest.history import Floats
from trading.research.objective import annual_sharpe
from trading.research.statistics.overfitting import overfitting_in_pieces
from trading.research.validation.memory import MemoryBudget
from trading.research.validation.outcome import Question, Rule, TestOutcome
from trading.research.validation.study import StudyReturns
from trading.research.validation.subject import Subject
from trading.research.validation.thresholds import Thresholds

# Floats per return of a piece that are alive at once: itself, its squares, a block's deviations.
_FLOATS_ALIVE = 4


def walk_forward(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Ask for the Sharpe ratio, per year, of one who always followed the trial that had been best so far.

    In each window but the first, the returns of the trial with the best Sharpe ratio over all windows before
    it; stitched. So no window takes part in the choice of what it is counted for. (The search itself placed
    its later trials with the whole of its bars in view; what it makes of that, `deflated_sharpe` deducts.)
    """
    asked = Question("walk_forward", Rule.AT_LEAST, thresholds.walk_forward_sharpe)
    study, plan = subject.study, subject.settings.plan
    if study is None or study.trials < 2:
        return asked.undecided(_gone(study))
    windows = study.periods // plan.test
    if windows < thresholds.least_windows or study.periods % plan.test:
        return asked.undecided(
            f"{study.periods} returns a trial are {windows} windows of {plan.test}: expected "
            f"{thresholds.least_windows} or more, whole"
        )
    choices = choices_of(study, windows, _at_once(study, budget))
    followed = [study.of(chosen)[i * plan.test : (i + 1) * plan.test] for i, chosen in enumerate(choices, 1)]
    ratio = annual_sharpe(np.concatenate(followed))
    return asked.answered(
        ratio,
        f"Sharpe ratio {ratio:.2f} in {windows - 1} windows, each with the best of {study.trials} trials "
        f"until then",
        windows=windows - 1,
        trials=study.trials,
        different=len(set(choices)),
    )


def overfitting(subject: Subject, thresholds: Thresholds, budget: MemoryBudget) -> TestOutcome:
    """Ask how probable it is, at most, that to choose the best trial of one half of time is overfitting and
    loses in the other: the smaller of the probabilities of overfitting (`statistics.overfitting`, by Sharpe
    ratio; a trial that is out of the market in a half has 0 there) and of a ratio below 0.

    Where all trials share an edge the best of one half is as often as not below the median of the other, and
    nothing is lost by it: the probability of overfitting alone would refuse that.
    """
    asked = Question("overfitting", Rule.AT_MOST, thresholds.overfitting)
    study = subject.study
    if study is None or study.trials < 2:
        return asked.undecided(_gone(study))
    if study.periods < max(thresholds.splits, 4):
        return asked.undecided(f"{study.periods} returns a trial cannot be cut into {thresholds.splits}")
    found = overfitting_in_pieces(
        study.pieces(_at_once(study, budget)),
        thresholds.splits,
        flat_sharpe=0.0,
        memory_limit_mb=budget.piece_mb(),
    )
    return asked.answered(
        min(found.pbo, found.probability_of_loss),
        f"the best of {found.trials} trials in one half is not above the median of the other in "
        f"{found.pbo:.0%} of {len(found.logits)} halves, and loses there in {found.probability_of_loss:.0%}",
        probability_of_overfitting=found.pbo,
        probability_of_loss=found.probability_of_loss,
        mean_rank=found.mean_rank,
        trials=found.trials,
        splits=found.splits,
    )


def choices_of(study: StudyReturns, windows: int, at_once: int) -> list[int]:
    """Return, for each window but the first, the trial with the best Sharpe ratio over those before it.

    The first of equals; one that does not vary has 0.
    """
    best = np.full(windows - 1, -np.inf)
    chosen = np.zeros(windows - 1, dtype=np.intp)
    first = 0
    for piece in study.pieces(at_once):
        ratios = _sharpes_before(piece, windows)
        leaders = ratios.argmax(axis=1)
        leading = ratios[np.arange(windows - 1), leaders]
        better = leading > best
        best[better], chosen[better] = leading[better], first + leaders[better]
        first += piece.shape[1]
    return [int(each) for each in chosen]


def _sharpes_before(piece: Floats, windows: int) -> Floats:
    """Return the Sharpe ratio of each trial over the windows before each but the first, shape (windows - 1,
    trials)."""
    length = len(piece) // windows
    blocks = [piece[i * length : (i + 1) * length] for i in range(windows - 1)]
    means = np.stack([block.mean(axis=0) for block in blocks])
    squares = np.stack([((block - mean) ** 2).sum(axis=0) for block, mean in zip(blocks, means, strict=True)])
    found = [_sharpe(means[:stop], squares[:stop], length) for stop in range(1, windows)]
    return np.stack(found)


def _sharpe(means: Floats, squares: Floats, length: int) -> Floats:
    """Return each trial's ratio from the means and sums of squares of its blocks, shape (blocks, trials)."""
    mean = means.mean(axis=0)
    total = squares.sum(axis=0) + length * ((means - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(total / (length * len(means) - 1))
    varies: NDArray[np.bool_] = deviation > 4 * np.finfo(float).eps * np.abs(mean)
    return np.asarray(np.divide(mean, deviation, out=np.zeros(len(mean)), where=varies))


def _at_once(study: StudyReturns, budget: MemoryBudget) -> int:
    return max(1, int(budget.piece_mb() * 1e6 / (8 * _FLOATS_ALIVE * study.periods)))


def _gone(study: StudyReturns | None) -> str:
    if study is None or not study.trials:
        return "what the study's trials earned is not stored: search again"
    return "one trial of the study went through every window and traded: expected two or more"
