"""From the bar store to the bars of a backtest."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from trading.backtest.errors import HistoryError
from trading.backtest.history import PriceHistory
from trading.marketdata.bars import BarStore
from trading.marketdata.errors import BarStoreError
from trading.marketdata.findings import Finding

if TYPE_CHECKING:
    import pandas as pd


class Prices(Enum):
    """Which prices a backtest sees.

    ADJUSTED: open, high, low and close scaled by adj_close / close: a dividend is reinvested on its ex-date,
    a split is no move; volume restated in today's shares where splits are known. TRADED: as they were traded,
    with the stored dividends and splits, which the engine books. Backtests on traded prices without those are
    wrong on every split day, so symbols whose source does not know them are refused.

    The account alone knows of splits: strategies see the prices as given, bars, closes, history and
    indicators alike, and on traded ones a split of 4 for 1 is a fall of 75 %. Rules of price want adjusted
    ones; a run on prices that jump so logs a warning, `prices.jump`.
    """

    ADJUSTED = "adjusted"
    TRADED = "traded"


class HistoricalDataManager:
    """Reads the bar store (`trading.marketdata.bars`).

    data_dir: the folder it is in. Nothing is repaired: what is wrong with stored bars is what the quality
    check says (`findings`); a bar that no backtest can use is an error that names it.
    """

    def __init__(self, data_dir: Path | str) -> None:
        self.store = BarStore(data_dir)

    def symbols(self) -> list[str]:
        """Return the stored symbols, sorted."""
        return self.store.symbols()

    def load(
        self,
        symbols: Iterable[str] | str | None = None,
        start: date | None = None,
        end: date | None = None,
        *,
        prices: Prices = Prices.ADJUSTED,
    ) -> PriceHistory:
        """Return the daily bars of these symbols (or of one; None: of all) from `start` to `end`, both
        included.

        Symbols without a bar in that range are left out as long as one has some.

        Raises:
            HistoryError: for a symbol that is not stored, naming what is; for a bar that cannot be used; if
                nothing is stored, or lies in the range.
            ValueError: for no symbols, or a start or end that is no date.
        """
        if isinstance(symbols, str):
            symbols = (symbols,)
        wanted = self.symbols() if symbols is None else list(symbols)
        if symbols is not None and not wanted:
            raise ValueError("symbols is empty: expected at least one, or None for all that are stored")
        if not wanted:
            raise HistoryError(
                f"{self.store.folder}: no bars are stored; run scripts/refresh_eod_data.py first"
            )
        return PriceHistory.from_frames(self.frames(wanted, prices=prices)).between(start, end)

    def frames(self, symbols: Iterable[str], *, prices: Prices = Prices.ADJUSTED) -> dict[str, pd.DataFrame]:
        """Return the frames that `load` makes a history of, by symbol. Raises HistoryError as `load`."""
        make = adjusted if Prices(prices) is Prices.ADJUSTED else traded
        return {symbol: make(symbol, self._read(symbol)) for symbol in symbols}

    def findings(self, symbols: Iterable[str], sessions: pd.DatetimeIndex) -> list[Finding]:
        """Return what the quality check says of the stored bars. sessions: the exchange's session dates."""
        from trading.marketdata.quality import check_bars

        return [finding for symbol in symbols for finding in check_bars(symbol, self._read(symbol), sessions)]

    def _read(self, symbol: str) -> pd.DataFrame:
        try:
            return self.store.read(symbol)
        except BarStoreError as error:
            stored = self.symbols()
            if symbol in stored:
                raise HistoryError(str(error)) from error
            shown = ", ".join(stored[:10]) + (", ..." if len(stored) > 10 else "")
            if not stored:
                shown = f"none in {self.store.folder}; run scripts/refresh_eod_data.py first"
            raise HistoryError(f"{symbol} is not stored; there are: {shown}") from error


def adjusted(symbol: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return bars at prices adjusted for splits and dividends, the last close as it was traded.

    frame: as `BarStore` describes. Volumes are multiplied by the splits that came later, if it has them.
    """
    scale = frame["adj_close"] / frame["close"]
    made = frame[["open", "high", "low", "close"]].mul(scale, axis=0)
    made["close"] = frame["adj_close"]
    made["volume"] = frame["volume"] * _later_splits(frame) if "split" in frame.columns else frame["volume"]
    made.attrs["symbol"] = symbol
    return made


def traded(symbol: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return bars at the prices they were traded at, with their dividends and splits.

    Raises:
        HistoryError: if the frame does not know them.
    """
    missing = sorted({"dividend", "split"} - set(frame.columns))
    if missing:
        raise HistoryError(
            f"bars of {symbol} have no column {', '.join(missing)}, which their source does not tell: traded "
            f"prices jump on splits; take Prices.ADJUSTED"
        )
    made = frame[["open", "high", "low", "close", "volume", "dividend", "split"]].copy()
    made.attrs["symbol"] = symbol
    return made


def _later_splits(frame: pd.DataFrame) -> pd.Series:
    """Return by how much each bar's shares were multiplied by the splits after it."""
    total = frame["split"].cumprod()
    factors: pd.Series = total.iloc[-1] / total
    return factors
