"""Training a model on everything, and finding out on bars it has not seen what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from trading.backtest.history import Floats, PriceHistory
from trading.backtest.learning.errors import LearningError
from trading.backtest.learning.model import LearnedModel, Samples, fit, fit_direction, samples_of

FOLDS = 5
"""Parts of the second half of time, each foretold by a model of all that was known before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How good probabilities were.

    samples: how many; rises: the part that rose. accuracy: the part where what was more likely came true.
    log_loss: mean of -log(probability of what came true); base_log_loss: the same, had the part of rises in
    the training been foretold each time. gain: by how much the log loss is below the base's on average over
    the instants; error: the standard error of that. An instant counts once: its symbols share a market.
    """

    samples: int
    rises: float
    accuracy: float
    log_loss: float
    base_log_loss: float
    gain: float
    error: float

    @property
    def is_better_than_chance(self) -> bool:
        """Whether it beat foretelling the same each time, by a standard error at least."""
        return self.gain > 0.0 and self.gain >= self.error

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Score:
        """Return what `dataclasses.asdict` made. Raises LearningError if it is something else."""
        try:
            return cls(**{each.name: saved[each.name] for each in fields(cls)})
        except (KeyError, TypeError) as error:
            raise LearningError(f"these are no figures of a model: {error!r}") from error

    def __str__(self) -> str:
        return (
            f"{self.samples} samples, {self.accuracy:.1%} right ({self.rises:.1%} rose), log loss "
            f"{self.log_loss:.5f} against {self.base_log_loss:.5f}, gain {self.gain:+.5f} +- {self.error:.5f}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A model with what it was worth: in_sample on its own bars; out_of_sample: models made in the same way,
    on the bars after theirs."""

    model: LearnedModel
    in_sample: Score
    out_of_sample: Score


def train(
    history: PriceHistory, *, horizon: int, penalty: float, stop: Callable[[], bool] = lambda: False
) -> TrainedModel | None:
    """Return a model of all the bars and its figures; None: `stop`, asked before each fit, said so.

    Raises:
        LearningError: if the bars are too few, for the model or for its test.
        NotInstalledError: without scikit-learn.
    """
    if stop():
        return None
    samples = samples_of(history, horizon)
    model = fit(history, horizon=horizon, penalty=penalty)
    own = score_of(
        samples, model.direction.probabilities(samples.rows), np.full(len(samples.rises), model.rises)
    )
    tested = _walked_forward(samples, penalty, stop)
    return None if tested is None else TrainedModel(model=model, in_sample=own, out_of_sample=tested)


def score_of(samples: Samples, chances: Floats, base: Floats) -> Score:
    """Return how good probabilities of a rise were, shape (n,), against other ones, base."""
    loss, base_loss = _log_loss(samples.rises, chances), _log_loss(samples.rises, base)
    instants, places = np.unique(samples.decided, return_inverse=True)
    gains = np.bincount(places, base_loss - loss) / np.bincount(places)
    error = float(gains.std(ddof=1) / np.sqrt(len(instants))) if len(instants) > 1 else 0.0
    return Score(
        samples=len(samples.rises),
        rises=float(samples.rises.mean()),
        accuracy=float(((chances > 0.5) == (samples.rises > 0.5)).mean()),
        log_loss=float(loss.mean()),
        base_log_loss=float(base_loss.mean()),
        gain=float(gains.mean()),
        error=error,
    )


def _walked_forward(samples: Samples, penalty: float, stop: Callable[[], bool]) -> Score | None:
    """Return what models were worth on the bars after theirs; None: stopped.

    A sample whose outcome was not known yet when the part began is left out of that part's training.
    """
    instants = np.unique(samples.decided)
    bounds = np.linspace(len(instants) // 2, len(instants), FOLDS + 1).astype(int)
    chances, base = np.full(len(samples.rises), np.nan), np.full(len(samples.rises), np.nan)
    for start, end in pairwise(bounds.tolist()):
        if stop():
            return None
        part = (samples.decided >= instants[start]) & (samples.decided <= instants[end - 1])
        known = samples.where(samples.known < instants[start])
        direction = fit_direction(known.rows, known.rises, penalty)
        if direction is not None:
            chances[part] = direction.probabilities(samples.rows[part])
            base[part] = known.rises.mean()
    tested = np.isfinite(chances)
    if not tested.any():
        raise LearningError(
            f"{len(samples.rises)} samples over {len(instants)} instants are too few to test a model on bars "
            f"that it has not seen"
        )
    return score_of(samples.where(tested), chances[tested], base[tested])


def _log_loss(rises: Floats, chances: Floats) -> Floats:
    loss: Floats = -np.log(np.where(rises > 0.5, chances, 1.0 - chances))
    return loss
