"""The strategies of the comparison: fed one close after another, each says whether to be long.

Every engine runs these very objects (its own indicators would differ in the last bits, and now and then flip
a decision), so that what differs in the end is the engine's doing. Standard library only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Rule = Callable[[float], bool]


class SmaCross:
    """Long while the mean of the last `fast` closes is above that of the last `slow` ones.

    Flat before there are `slow` closes.
    """

    __slots__ = ("_fast", "_fast_closes", "_fast_sum", "_slow", "_slow_closes", "_slow_sum")

    def __init__(self, fast: int, slow: int) -> None:
        self._fast, self._slow = fast, slow
        # With this many zeros in front a sum always loses one close as it gains one.
        self._fast_closes = deque([0.0] * fast, fast)
        self._slow_closes = deque([0.0] * slow, slow)
        self._fast_sum = self._slow_sum = 0.0

    def __call__(self, close: float) -> bool:
        self._fast_sum += close - self._fast_closes[0]
        self._slow_sum += close - self._slow_closes[0]
        self._fast_closes.append(close)
        self._slow_closes.append(close)
        # Prices are above 0: a zero is one of those put in front.
        return self._slow_closes[0] > 0.0 and self._fast_sum / self._fast > self._slow_sum / self._slow


class Rsi:
    """Long from an RSI below `low` until one above `high`.

    RSI = 100 - 100 / (1 + mean gain / mean loss), with Wilder's means: each move weighs 1 / period, and
    the first one is the plain mean of `period` moves. J. Welles Wilder, New Concepts in Technical Trading
    Systems, 1978.
    """

    __slots__ = ("_gain", "_high", "_last", "_long", "_loss", "_low", "_moves", "_period")

    def __init__(self, period: int, low: float, high: float) -> None:
        self._period, self._low, self._high = period, low, high
        self._gain = self._loss = 0.0
        self._last: float | None = None
        self._moves = 0
        self._long = False

    def __call__(self, close: float) -> bool:
        if self._last is not None:
            self._average(close - self._last)
        self._last = close
        if self._moves >= self._period:
            both = self._gain + self._loss
            rsi = 100.0 * self._gain / both if both else 50.0
            self._long = rsi <= self._high if self._long else rsi < self._low
        return self._long

    def _average(self, move: float) -> None:
        self._moves += 1
        weight = 1.0 / self._period
        # Up to `period` moves the averages are those moves' sums over `period`.
        kept = 1.0 if self._moves <= self._period else 1.0 - weight
        self._gain = self._gain * kept + (move if move > 0.0 else 0.0) * weight
        self._loss = self._loss * kept - (move if move < 0.0 else 0.0) * weight


class Coin:
    """Long on heads: it changes its mind at every other bar, one-bar holdings and gaps among them."""

    __slots__ = ("_random",)

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def __call__(self, close: float) -> bool:
        return self._random.random() < 0.5


class Given:
    """Decisions made beforehand, one per bar."""

    __slots__ = ("_decisions",)

    def __init__(self, decisions: Sequence[bool]) -> None:
        self._decisions = iter(decisions)

    def __call__(self, close: float) -> bool:
        return bool(next(self._decisions))


def rule_of(strategy: dict[str, Any]) -> Rule:
    """Return the rule that a question names, before its first bar."""
    made: dict[str, Callable[..., Rule]] = {
        "buy_and_hold": lambda: lambda close: True,
        "sma": SmaCross,
        "rsi": Rsi,
        "coin": Coin,
        "given": Given,
    }
    parameters = {key: value for key, value in strategy.items() if key != "name"}
    return made[strategy["name"]](**parameters)
