"""Mean reversion by Bollinger's bands: far below the mean of the last weeks is cheap."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from trading.backtest.history import SymbolBars
from trading.backtest.indicators import TIE, mean_and_deviation, started, told_band
from trading.backtest.strategies.each_symbol import (
    EachSymbol,
    Rule,
    Sides,
    SymbolParameters,
    keep_whole,
    latched,
)
from trading.execution.checking import positive


@dataclass(frozen=True, slots=True, kw_only=True)
class BollingerParameters(SymbolParameters):
    """bars: of mean and standard deviation. width: of the bands, in standard deviations. shorting: whether
    it is short the other way round, from above the upper band on.

    Raises:
        ValueError: naming the field, its value and what was expected.
    """

    bars: int = 20
    width: float = 2.0
    shorting: bool = False

    def __post_init__(self) -> None:
        SymbolParameters.__post_init__(self)
        keep_whole(self, "bars", 2)
        positive("width", self.width)


class BollingerReversion(EachSymbol):
    """Long from a close below the lower band until one above the mean; short from above the upper band until
    below the mean.

    The bands are `width` standard deviations (divisor n) around the mean of the last `bars` closes, the
    present one included; a close within `TIE` of a line has reached it and not passed it. No close is ever
    further than sqrt(bars - 1) deviations from such a mean. Bollinger (2001), Bollinger on Bollinger Bands,
    chapters 7 and 16.
    """

    parameters: BollingerParameters

    def __init__(self, parameters: BollingerParameters, name: str | None = None) -> None:
        super().__init__(parameters, name)
        self.warmup = parameters.bars - 1

    def rule(self) -> Rule:
        return started(self._turns())

    def _turns(self) -> Generator[int | None, float, None]:
        band, width, shorting = (
            told_band(self.parameters.bars),
            self.parameters.width,
            self.parameters.shorting,
        )
        held, answer = 0, None
        while True:
            close = yield answer
            mean, deviation = band(close)
            away, reach, tie = close - mean, width * deviation, TIE * mean
            side = held
            if away < -reach - tie:
                side = 1
            elif shorting and away > reach + tie:
                side = -1
            elif (held > 0 and away > tie) or (held < 0 and away < -tie):
                side = 0
            answer = None if side == held else side
            held = side

    def sides(self, bars: SymbolBars) -> Sides:
        mean, deviation = mean_and_deviation(bars.close, self.parameters.bars)
        away, reach, tie = bars.close - mean, self.parameters.width * deviation, TIE * mean
        overbought = (away > reach + tie) & self.parameters.shorting
        return latched(away < -reach - tie, overbought, away > tie, away < -tie)
