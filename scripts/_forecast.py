"""What the learned strategy's model says of the symbols that `run_execution` is to work. numpy and pandas are
loaded when a forecast is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from trading.execution.facts import MarketFacts
from trading.execution.facts_from_bars import OLD_DAYS
from trading.execution.forecasts import Forecast, drift_bps, tilted
from trading.execution.orders import ParentOrder

if TYPE_CHECKING:
    from trading.backtest.learning.training import TrainedModel


class Forecasts:
    """Forecasts of one session, by the newest model that has seen no bar of it.

    data_dir: where the model is. folders: data folders; of several the first that has a symbol's daily bars
    counts. Raises LearningError, naming what to do, if no such model is stored or it cannot be read.
    """

    def __init__(self, symbols: Sequence[str], day: date, data_dir: Path, folders: Sequence[Path]) -> None:
        self._trained = _model_before(day, data_dir)
        self._found = {symbol: self._forecast(symbol, day, folders) for symbol in symbols}

    def applied(self, order: ParentOrder) -> ParentOrder:
        """Return the order as its symbol's forecast wants it worked."""
        return tilted(order, self._found[order.symbol])

    def said(self, facts: MarketFacts, order: ParentOrder) -> str:
        """Return in one line what is foretold of a symbol, and what that changes in an order (as wished)."""
        forecast = self._found[facts.symbol]
        if forecast.probability is None:
            return f"forecast of {facts.symbol}: none: {forecast.reason}"
        drift = drift_bps(forecast.probability, facts.daily_volatility)
        text = (
            f"forecast of {facts.symbol}: rises with {forecast.probability:.1%}, {drift:+.1f} bp from open to"
            f" close (bars to {forecast.as_of})"
        )
        if not forecast.acts:
            return f"{text}; not acted on: {forecast.reason}"
        worked = tilted(order, forecast)
        urgency = f"{order.urgency} -> {worked.urgency}"
        if worked.urgency is order.urgency:
            urgency = f"stays {order.urgency}"
        return (
            f"{text}; to {order.side}: urgency {urgency}, risk aversion {order.risk_aversion:.3g} -> "
            f"{worked.risk_aversion:.3g}"
        )

    @property
    def model_said(self) -> str:
        """Which model it is, and what it is worth, in one line."""
        model, score = self._trained.model, self._trained.out_of_sample
        return (
            f"model of {model.last}, made of {model.samples} samples ({', '.join(model.symbols[:5])}"
            f"{', ...' if len(model.symbols) > 5 else ''}); on bars it had not seen: {score}"
        )

    def report(self) -> dict[str, object]:
        """Return what the result file holds of the forecasts."""
        return {
            "model": self._trained.model.last,
            "is_better_than_chance": self._trained.out_of_sample.is_better_than_chance,
            "probabilities": {symbol: each.probability for symbol, each in self._found.items()},
        }

    def _forecast(self, symbol: str, day: date, folders: Sequence[Path]) -> Forecast:
        from trading.backtest.errors import HistoryError
        from trading.backtest.historical_data import HistoricalDataManager
        from trading.backtest.learning.features import LOOKBACK
        from trading.marketdata.bars import BarStore

        folder = next((each for each in folders if symbol in BarStore(each).entries()), folders[-1])
        try:
            bars = HistoricalDataManager(folder).load([symbol], end=_day_before(day)).bars[symbol]
        except HistoryError as error:
            return Forecast(symbol=symbol, probability=None, as_of=None, acts=False, reason=str(error))
        last = _date_of(int(bars.stamps[-1]))
        chance = self._trained.model.probability(bars)
        if math.isnan(chance):
            why = f"it has {len(bars)} daily bars before {day}: a forecast needs {LOOKBACK + 1}"
            return Forecast(symbol=symbol, probability=None, as_of=last, acts=False, reason=why)
        why = ""
        if (day - last).days > OLD_DAYS:
            why = f"its bars end on {last}, {(day - last).days} days before"
        elif not self._trained.out_of_sample.is_better_than_chance:
            why = "on bars it had not seen the model was no better than the base rate"
        return Forecast(symbol=symbol, probability=chance, as_of=last, acts=not why, reason=why)


def _model_before(day: date, data_dir: Path) -> TrainedModel:
    from trading.backtest.learning.errors import LearningError
    from trading.backtest.learning.model_store import ModelStore

    store = ModelStore(data_dir)
    trained = store.newest(before=day)
    if trained is None:
        later = store.days()
        there = f" (there is one of {later[0]}, which has seen that day)" if later else ""
        raise LearningError(
            f"no model is stored in {store.folder} that was trained before {day}{there}: run `python -m "
            f"scripts.train_models --until {_day_before(day)}`, or leave out --use-ml-enhanced"
        )
    return trained


def _day_before(day: date) -> date:
    return date.fromordinal(day.toordinal() - 1)


def _date_of(stamp: int) -> date:
    """Return the date of nanoseconds since 1970-01-01 UTC."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + stamp // (86_400 * 10**9))
