"""Indicators of the close: each has a form for whole histories and one that is told bar by bar.

Both forms do the same operations in the same order, so that they agree to the last bit and no decision
depends on which one was used. What rounding can still do is to part two numbers that are equal on paper (the
means of a constant price over 20 and 50 bars): whoever compares must take numbers within `TIE` as equal.

Sums over a window never drift, however long the history. It is cut into blocks as long as the window, which
then reaches over the end of one block and the beginning of the next: its sum is a tail of the one, summed up
from the block's end, and a head of the other; each is a fresh sum of at most `bars` numbers. This is van Herk
(1992), A fast algorithm for local minimum and maximum filters, Pattern Recognition Letters 13, 517-521, with
sums for maxima. An error of more than bars * 1e-16 of the mean cannot arise; a running sum would carry each
rounding on to the end.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

import numpy as np

from trading.backtest.errors import HistoryError
from trading.backtest.history import Floats, SymbolBars
from trading.execution.checking import finite, whole

TIE = 1e-12
"""Two prices (or means of prices) are equal if they are no further apart than this part of them: well above
what rounding does to windows of up to 1,000 bars (1e-13), well below a real difference of means (for prices
in cents around 100 and 20 against 50 bars at least 1e-6)."""

NARROW = 16
"""Rows shorter than this are summed up column by column: numpy's start costs more than so few terms."""

MOST_GROWTH = 1e30
"""What a change may weigh more than one long past: enough that the past is nothing, far from what floats can
hold."""
BLOCK = 1024
"""Bars after which growing weights begin anew at the latest."""

Answer = TypeVar("Answer")
Told = Callable[[float], float]
"""Is told one close after the other, and answers each with what an indicator says of it."""
ToldBand = Callable[[float], tuple[float, float]]
"""The same, with (mean, deviation)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleMovingAverage:
    """The mean of the last `bars` closes. Raises ValueError unless `bars` is whole and at least 1."""

    bars: int

    def __post_init__(self) -> None:
        whole("bars", self.bars, 1)

    @property
    def warmup(self) -> int:
        return self.bars - 1

    def __call__(self, bars: SymbolBars) -> Floats:
        means: Floats = window_sums(bars.close, self.bars) / self.bars
        return means

    def told(self) -> Told:
        return started(_means(self.bars))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialMovingAverage:
    """The mean of all closes, each weighing 1 - a of the next: e = e + a (close - e), a = 2 / (bars + 1).

    It begins with the mean of the first `bars` closes. Raises ValueError unless `bars` is whole and at
    least 1.
    """

    bars: int

    def __post_init__(self) -> None:
        whole("bars", self.bars, 1)

    @property
    def warmup(self) -> int:
        return self.bars - 1

    def __call__(self, bars: SymbolBars) -> Floats:
        return _all_told(self.told(), bars)

    def told(self) -> Told:
        return started(_exponential_means(self.bars))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rsi:
    """Wilder's relative strength index, 0 to 100: 100 U / (U + D).

    U, D: the means of the rises and the falls of the close, each smoothed by U = (U (bars - 1) + rise) / bars
    from the plain mean of the first `bars` changes on; so the first value comes with bar `bars`. 50 where
    the close has not moved (U + D below `TIE` of it). Wilder (1978), New Concepts in Technical Trading
    Systems, section VI. Raises ValueError unless `bars` is whole and at least 1.

    Only the ratio of U and D counts. So instead of making the past smaller with each bar, each change is made
    larger, by bars / (bars - 1), and added up; the sums are made small again after some hundred bars. This
    is what running sums of arrays can do too, and rounds no worse.
    """

    bars: int

    def __post_init__(self) -> None:
        whole("bars", self.bars, 1)

    @property
    def warmup(self) -> int:
        return self.bars

    def __call__(self, bars: SymbolBars) -> Floats:
        if self.bars == 1 or len(bars) <= self.bars:
            return _all_told(self.told(), bars)
        return _strength_curve(bars.close, self.bars)

    def told(self) -> Told:
        return started(_strengths(self.bars))


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingDeviation:
    """The standard deviation (divisor n) of the last `bars` closes. Raises ValueError unless `bars` is whole
    and at least 2."""

    bars: int

    def __post_init__(self) -> None:
        whole("bars", self.bars, 2)

    @property
    def warmup(self) -> int:
        return self.bars - 1

    def __call__(self, bars: SymbolBars) -> Floats:
        return mean_and_deviation(bars.close, self.bars)[1]

    def told(self) -> Told:
        told = told_band(self.bars)
        return lambda close: told(close)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class BollingerBand:
    """The mean of the last `bars` closes and `deviations` of their standard deviations (divisor n): above 0
    the upper band, below 0 the lower one. Raises ValueError for a field that cannot be used."""

    bars: int
    deviations: float

    def __post_init__(self) -> None:
        whole("bars", self.bars, 2)
        finite("deviations", self.deviations)

    @property
    def warmup(self) -> int:
        return self.bars - 1

    def __call__(self, bars: SymbolBars) -> Floats:
        mean, deviation = mean_and_deviation(bars.close, self.bars)
        return mean + self.deviations * deviation

    def told(self) -> Told:
        told, deviations = told_band(self.bars), self.deviations

        def band(close: float) -> float:
            mean, deviation = told(close)
            return mean + deviations * deviation

        return band


@dataclass(frozen=True, slots=True, kw_only=True)
class Momentum:
    """The return over the last `bars` bars, as a fraction. Raises ValueError unless `bars` is whole and at
    least 1."""

    bars: int

    def __post_init__(self) -> None:
        whole("bars", self.bars, 1)

    @property
    def warmup(self) -> int:
        return self.bars

    def __call__(self, bars: SymbolBars) -> Floats:
        returns = np.full(len(bars), np.nan)
        returns[self.bars :] = bars.close[self.bars :] / bars.close[: -self.bars] - 1.0
        return returns

    def told(self) -> Told:
        return started(_returns(self.bars))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a column beside prices and volume (`SymbolBars.extras`) says of each bar. Raises HistoryError
    when a symbol's bars have none of that name."""

    name: str

    @property
    def warmup(self) -> int:
        return 0

    def __call__(self, bars: SymbolBars) -> Floats:
        if self.name not in bars.extras:
            raise HistoryError(
                f"bars of {bars.symbol} have no column {self.name!r}: beside prices and volume there are "
                f"{', '.join(bars.extras) or 'none'}"
            )
        return bars.extras[self.name]


def window_sums(values: Floats, bars: int) -> Floats:
    """Return the sums of the last `bars` values, shape (n,), NaN before there are as many."""
    blocks = _in_blocks(values, bars)
    return _joined(blocks[:, :-1], blocks, len(values))


def mean_and_deviation(values: Floats, bars: int) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (divisor n) of the last `bars` values, each of shape (n,), NaN
    before there are as many.

    Sums are of differences from an anchor, the last value of the earlier of the two blocks: it is in the
    window, so that squares of differences are at most `bars` times the variance and little cancels.
    """
    blocks = _in_blocks(values, bars)
    own = blocks[:, -1:]
    earlier = np.concatenate([own[:1], own[:-1]])
    to_own, to_earlier = blocks - own, blocks[:, :-1] - earlier
    offset = _joined(to_earlier, to_own, len(values)) / bars
    squares = _joined(to_earlier * to_earlier, to_own * to_own, len(values)) / bars
    anchors = np.repeat(earlier, bars, axis=1)
    anchors[:, -1:] = own
    variance = np.maximum(squares - offset * offset, 0.0)
    return anchors.reshape(-1)[: len(values)] + offset, np.sqrt(variance)


def told_band(bars: int) -> ToldBand:
    """Return what answers each close as `mean_and_deviation` does."""
    return started(_means_and_deviations(bars))


def started(told: Generator[Answer, float, None]) -> Callable[[float], Answer]:
    """Return what sends a close into a generator and gives its next answer; its first one is left out."""
    next(told)
    return told.send


def _in_blocks(values: Floats, bars: int) -> Floats:
    """Return the values in rows of `bars`, the last one filled up with zeros."""
    rows = -(-len(values) // bars)
    if rows * bars == len(values):
        return values.reshape(rows, bars)
    padded = np.zeros(rows * bars)
    padded[: len(values)] = values
    return padded.reshape(rows, bars)


def _joined(head_terms: Floats, tail_terms: Floats, count: int) -> Floats:
    """Return each window's sum, shape (count,): a block's tail and the head of the next block, each summed
    term by term. head_terms: shape (blocks, bars - 1); tail_terms: shape (blocks, bars)."""
    sums, tails = np.empty_like(tail_terms), np.empty_like(tail_terms)
    _run(tail_terms[:, ::-1], tails[:, ::-1])
    _run(head_terms, sums[:, :-1])
    sums[:1, :-1] = np.nan
    sums[1:, :-1] += tails[:-1, 1:]
    sums[:, -1] = tails[:, 0]
    return sums.reshape(-1)[:count]


def _run(terms: Floats, sums: Floats) -> None:
    """Set `sums` to each row's running sums, term by term from the left."""
    if terms.shape[1] >= NARROW:
        np.cumsum(terms, axis=1, out=sums)
        return
    sums[:] = terms
    for column in range(1, terms.shape[1]):
        sums[:, column] += sums[:, column - 1]


def _means(bars: int) -> Generator[float, float, None]:
    """Answer each close as `window_sums` / bars."""
    block: list[float] = []
    while len(block) < bars - 1:
        block.append((yield math.nan))
    close = yield math.nan
    while True:
        block.append(close)
        tails = list(accumulate(reversed(block)))
        block.clear()
        mean, head = tails.pop() / bars, 0.0
        for tail in reversed(tails):
            close = yield mean
            block.append(close)
            head += close
            mean = (head + tail) / bars
        close = yield mean


def _means_and_deviations(bars: int) -> Generator[tuple[float, float], float, None]:
    """Answer each close as `mean_and_deviation`."""
    answer = math.nan, math.nan
    block: list[float] = []
    while len(block) < bars - 1:
        block.append((yield answer))
    anchor = yield answer
    while True:
        block.append(anchor)
        differences = [each - anchor for each in reversed(block)]
        tails = list(accumulate(differences))
        squared = list(accumulate(each * each for each in differences))
        block.clear()
        answer, head, head_squared = _banded(anchor, tails.pop(), squared.pop(), bars), 0.0, 0.0
        for tail, tail_squared in zip(reversed(tails), reversed(squared), strict=True):
            close = yield answer
            block.append(close)
            difference = close - anchor
            head += difference
            head_squared += difference * difference
            answer = _banded(anchor, head + tail, head_squared + tail_squared, bars)
        anchor = yield answer


def _banded(anchor: float, total: float, squares: float, bars: int) -> tuple[float, float]:
    """Return mean and deviation of a window, from sums of its differences to the anchor."""
    offset = total / bars
    return anchor + offset, math.sqrt(max(squares / bars - offset * offset, 0.0))


def _exponential_means(bars: int) -> Generator[float, float, None]:
    total = 0.0
    for _ in range(bars - 1):
        total += yield math.nan
    total += yield math.nan
    mean, part = total / bars, 2.0 / (bars + 1)
    while True:
        close = yield mean
        mean += part * (close - mean)


def _strengths(bars: int) -> Generator[float, float, None]:
    """Answer each close as `_strength_curve`."""
    before = yield math.nan
    up = down = 0.0
    for _ in range(bars):
        close = yield math.nan
        up, down = up + max(close - before, 0.0), down + max(before - close, 0.0)
        before = close
    moved = up + down
    answer = 100.0 * up / moved if moved > TIE * bars * before else 50.0
    table = [(weight, TIE * bars * weight) for weight in _growth(bars).tolist()]
    while True:
        for weight, least in table:
            close = yield answer
            change = close - before
            before = close
            if change > 0.0:
                up += change * weight
            else:
                down -= change * weight
            moved = up + down
            answer = 100.0 * up / moved if moved > least * close else 50.0
        up, down = up / weight, down / weight


def _strength_curve(closes: Floats, bars: int) -> Floats:
    """Return Wilder's index, shape (n,), NaN before there are `bars` changes; more closes are needed."""
    growth, changes = _growth(bars), np.diff(closes)
    weights = np.resize(growth, len(changes) - bars)
    curves = []
    for moves in (np.maximum(changes, 0.0), np.maximum(-changes, 0.0)):
        carried = np.cumsum(moves[:bars])[-1]
        curve = moves[bars:] * weights
        curves.append((carried, _carried_on(curve, carried, growth)))
    (first_up, up), (first_down, down) = curves
    strengths = np.full(len(closes), np.nan)
    strengths[bars:] = 50.0
    ups = np.concatenate([[first_up], up])
    moved = ups + np.concatenate([[first_down], down])
    least = np.concatenate([[TIE * bars], TIE * bars * weights]) * closes[bars:]
    np.divide(100.0 * ups, moved, out=strengths[bars:], where=moved > least)
    return strengths


def _carried_on(terms: Floats, carried: float, growth: Floats) -> Floats:
    """Turn terms into their running sums, in place, made smaller by the last of `growth` after each block."""
    for start in range(0, len(terms), len(growth)):
        block = terms[start : start + len(growth)]
        block[0] += carried
        np.cumsum(block, out=block)
        carried = block[-1] / growth[-1]
    return terms


def _growth(bars: int) -> Floats:
    """Return what a change weighs beside those before it, (bars / (bars - 1)) ** k for k = 1, 2, ...: as many
    as keep their sums within what a float can hold. For one bar: a weight beside which the past is nothing.
    """
    if bars == 1:
        return np.array([MOST_GROWTH])
    rate = math.log(bars) - math.log(bars - 1)
    weights: Floats = np.exp(rate * np.arange(1, min(BLOCK, int(math.log(MOST_GROWTH) / rate)) + 1))
    return weights


def _returns(bars: int) -> Generator[float, float, None]:
    closes: deque[float] = deque(maxlen=bars + 1)
    answer = math.nan
    while True:
        close = yield answer
        closes.append(close)
        if len(closes) > bars:
            answer = close / closes[0] - 1.0


def _all_told(told: Told, bars: SymbolBars) -> Floats:
    """Return what is said of each bar, where a recurrence has no array form that rounds alike: 10 million
    bars a second."""
    return np.fromiter(map(told, bars.close.tolist()), dtype=np.float64, count=len(bars))
