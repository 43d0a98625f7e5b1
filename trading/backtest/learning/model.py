"""A model of the direction of prices: fitted with scikit-learn, used without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from trading.backtest.history import Floats, PriceHistory, SymbolBars, said
from trading.backtest.learning.errors import LearningError, NotInstalledError
from trading.backtest.learning.features import FEATURES, features, outcomes

LEAST_SAMPLES = 100
"""Below it ten numbers cannot be learned from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """A logistic regression: the probability of a rise is 1 / (1 + exp(-(intercept + coefficients . z))), z =
    (features - means) / scales, by FEATURES."""

    means: tuple[float, ...]
    scales: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float

    def probabilities(self, rows: Floats) -> Floats:
        """Return the probability of a rise for each row of features, shape (n,); NaN for rows with NaN."""
        standard = (rows - np.array(self.means)) / np.array(self.scales)
        # Row by row the same sum, however many rows there are: a matrix product would round otherwise.
        scores = (standard * np.array(self.coefficients)).sum(axis=1) + self.intercept
        chances: Floats = 1.0 / (1.0 + np.exp(-scores))
        return chances


def fit_direction(rows: Floats, rises: Floats, penalty: float) -> Direction | None:
    """Return the model of these features, shape (n, 8), and of whether the price rose, shape (n,) of 0 and 1;
    None if there is one kind only, or too few.

    penalty: what half the squared size of the coefficients (of standardised features) costs, in units of one
    sample's log loss. Convex, so that nothing is left to chance.

    Raises:
        NotInstalledError: without scikit-learn.
    """
    if len(rises) < LEAST_SAMPLES or rises.min() == rises.max():
        return None
    regression = _regression(penalty)
    means, deviations = rows.mean(axis=0), rows.std(axis=0)
    scales = np.where(deviations > 0.0, deviations, 1.0)
    regression.fit((rows - means) / scales, rises)
    return Direction(
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        coefficients=tuple(regression.coef_[0].tolist()),
        intercept=float(regression.intercept_[0]),
    )


def _regression(penalty: float) -> Any:
    check_installed()
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1.0 / penalty, max_iter=1000)


def check_installed() -> None:
    """Raises NotInstalledError without scikit-learn."""
    try:
        import sklearn.linear_model  # noqa: F401  # is it there?
    except ImportError as error:
        raise NotInstalledError(
            f"learning needs scikit-learn, which is not installed ({error}): run `make setup-learn`"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedModel:
    """A model and what it was made from.

    horizon: bars ahead that it foretells: from the next open to the close of that bar. first, last: labels of
    the oldest and the newest bar it has seen (YYYY-MM-DD, with the time of day if it is not midnight).
    fingerprint: that of the bars (`PriceHistory`). samples: bars with features and outcome; rises: the part
    of them after which the price rose.
    """

    direction: Direction
    horizon: int
    penalty: float
    first: str
    last: str
    symbols: tuple[str, ...]
    samples: int
    rises: float
    fingerprint: str
    features: tuple[str, ...] = FEATURES

    def probability(self, bars: SymbolBars) -> float:
        """Return the probability that the price rises after these bars; NaN if they are too few."""
        return float(self.direction.probabilities(features(bars)[-1:])[0])

    def to_dict(self) -> dict[str, Any]:
        """Return every field as values that JSON knows."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> LearnedModel:
        """Return what `to_dict` was made from.

        Raises:
            LearningError: if it is no model, or one of other features than these.
        """
        try:
            made = {each.name: _frozen(saved[each.name]) for each in fields(cls)}
            coefficients = {each.name: _frozen(saved["direction"][each.name]) for each in fields(Direction)}
            model = cls(**{**made, "direction": Direction(**coefficients)})
        except (KeyError, TypeError) as error:
            raise LearningError(f"this is no learned model: {error!r}") from error
        if model.features != FEATURES or len(model.direction.coefficients) != len(FEATURES):
            raise LearningError(
                f"the model was made for the features {', '.join(model.features)}; these are "
                f"{', '.join(FEATURES)}: train it again"
            )
        return model


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What there is to learn from, symbol after symbol.

    rows: features, shape (n, 8). rises: 1 where the price rose, else 0. decided, known: labels of each
    decision's bar, and of the one at which its outcome is known.
    """

    rows: Floats
    rises: Floats
    decided: np.ndarray
    known: np.ndarray

    def where(self, chosen: np.ndarray) -> Samples:
        """Return those that are chosen, shape (n,) of truth values."""
        return Samples(
            rows=self.rows[chosen],
            rises=self.rises[chosen],
            decided=self.decided[chosen],
            known=self.known[chosen],
        )


def samples_of(history: PriceHistory, horizon: int) -> Samples:
    """Return every bar that has features and an outcome."""
    parts = [_samples(bars, horizon) for bars in history.bars.values()]
    return Samples(
        rows=np.concatenate([part.rows for part in parts]),
        rises=np.concatenate([part.rises for part in parts]),
        decided=np.concatenate([part.decided for part in parts]),
        known=np.concatenate([part.known for part in parts]),
    )


def _samples(bars: SymbolBars, horizon: int) -> Samples:
    rows, came = features(bars), outcomes(bars, horizon)
    usable = np.flatnonzero(np.isfinite(rows).all(axis=1) & np.isfinite(came))
    return Samples(
        rows=rows[usable],
        rises=(came[usable] > 0.0).astype(np.float64),
        decided=bars.stamps[usable],
        known=bars.stamps[usable + horizon],
    )


def fit(history: PriceHistory, *, horizon: int, penalty: float) -> LearnedModel:
    """Return a model of all the bars, those of all symbols alike.

    Raises:
        LearningError: if they are too few, or the price always rose (or never).
        NotInstalledError: without scikit-learn.
    """
    samples = samples_of(history, horizon)
    direction = fit_direction(samples.rows, samples.rises, penalty)
    if direction is None:
        raise LearningError(
            f"there are {len(samples.rises)} samples in the bars of {', '.join(history.symbols)}: expected "
            f"{LEAST_SAMPLES} or more, some rises and some falls (a sample is a bar with 126 before it, and "
            f"its outcome {horizon} bars later)"
        )
    return LearnedModel(
        direction=direction,
        horizon=horizon,
        penalty=penalty,
        first=said(history.stamps[0]),
        last=said(history.stamps[-1]),
        symbols=history.symbols,
        samples=len(samples.rises),
        rises=float(samples.rises.mean()),
        fingerprint=history.fingerprint,
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
