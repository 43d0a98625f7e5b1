"""The exchange's sessions for the checks, old years included. Loads pandas_market_calendars."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

EXCHANGE = "XNYS"
LEAST_SPAN = timedelta(days=14)  # no exchange stays closed longer: there is always a last session


class ClosedSessions:
    """The sessions that have closed by `now`, looked up once and again only for an earlier first date."""

    def __init__(self, now: datetime, exchange: str = EXCHANGE) -> None:
        self.now = now
        self.exchange = exchange
        self._first: date | None = None
        self._dates: pd.DatetimeIndex | None = None

    def since(self, first: date) -> pd.DatetimeIndex:
        """Return those from some days before `first` on, so that there is one before it."""
        first = min(first, self.now.date()) - LEAST_SPAN
        if self._dates is None or self._first is None or first < self._first:
            self._first, self._dates = first, closed_sessions(first, self.now, self.exchange)
        return self._dates


def closed_sessions(first: date, now: datetime, exchange: str = EXCHANGE) -> pd.DatetimeIndex:
    """Return the dates, from `first` on, of the sessions that have closed by `now`, as naive midnights.

    now: aware UTC. exchange: a MIC name that pandas_market_calendars knows; RuntimeError otherwise.
    """
    import pandas_market_calendars

    calendar = pandas_market_calendars.get_calendar(exchange)
    schedule = calendar.schedule(first, now.astimezone(calendar.tz).date())
    dates: pd.DatetimeIndex = schedule.index[schedule["market_close"] <= now]
    return dates


def closed_hours(first: date, now: datetime, exchange: str = EXCHANGE) -> pd.DataFrame:
    """Return the hours of the sessions of `closed_sessions`: columns open, close (UTC) and is_early."""
    import pandas_market_calendars

    calendar = pandas_market_calendars.get_calendar(exchange)
    schedule = calendar.schedule(first, now.astimezone(calendar.tz).date())
    schedule = schedule[schedule["market_close"] <= now]
    hours: pd.DataFrame = schedule[["market_open", "market_close"]].set_axis(["open", "close"], axis=1)
    return hours.assign(is_early=hours.index.isin(calendar.early_closes(schedule).index))
