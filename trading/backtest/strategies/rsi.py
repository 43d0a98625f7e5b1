"""Mean reversion by Wilder's relative strength index: what fell too fast comes back."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from trading.backtest.history import SymbolBars
from trading.backtest.indicators import Rsi, started
from trading.backtest.strategies.each_symbol import (
    EachSymbol,
    Rule,
    Sides,
    SymbolParameters,
    keep_whole,
    latched,
)
from trading.execution.checking import finite

SLACK = 1e-9
"""Index points: an index that equals a level on paper counts as having reached it, not passed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RsiParameters(SymbolParameters):
    """bars: of the index. low: long from where the index falls below it. exit: until it rises above; 50 is
    the middle. shorting: whether it is short the other way round, from above 100 - low to below 100 - exit.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    bars: int = 14
    low: float = 30.0
    exit: float = 50.0
    shorting: bool = False

    def __post_init__(self) -> None:
        SymbolParameters.__post_init__(self)
        keep_whole(self, "bars", 1)
        if not 0.0 < finite("low", self.low) < 50.0:
            raise ValueError(f"low is {self.low!r}: expected a level above 0 and below 50")
        if not self.low <= finite("exit", self.exit) < 100.0:
            raise ValueError(f"exit is {self.exit!r}: expected a level from low = {self.low!r} to below 100")


class RsiReversion(EachSymbol):
    """Long from oversold until the index has recovered; short from overbought the other way round.

    Wilder (1978), New Concepts in Technical Trading Systems, section VI, with his levels 30 and 70.
    """

    parameters: RsiParameters

    def __init__(self, parameters: RsiParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self._index = Rsi(bars=parameters.bars)
        self.warmup = self._index.warmup
        low, exit_ = parameters.low, parameters.exit
        self._low, self._exit = low - SLACK, exit_ + SLACK
        self._high, self._cover = 100.0 - low + SLACK, 100.0 - exit_ - SLACK

    def rule(self) -> Rule:
        return started(self._turns())

    def _turns(self) -> Generator[int | None, float, None]:
        index, shorting = self._index.told(), self.parameters.shorting
        low, exit_, high, cover = self._low, self._exit, self._high, self._cover
        held, answer = 0, None
        while True:
            close = yield answer
            strength = index(close)
            side = held
            if strength < low:
                side = 1
            elif shorting and strength > high:
                side = -1
            elif (held > 0 and strength > exit_) or (held < 0 and strength < cover):
                side = 0
            answer = None if side == held else side
            held = side

    def sides(self, bars: SymbolBars) -> Sides:
        strength = self._index(bars)
        overbought = (strength > self._high) & self.parameters.shorting
        return latched(strength < self._low, overbought, strength > self._exit, strength < self._cover)
