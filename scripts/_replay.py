"""What a past day's replay is made of: its hours, its bars, and what was known before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from scripts._execution import PAPER_MARKET_SEED
from trading.execution.errors import PlanError
from trading.execution.facts import MarketFacts
from trading.execution.facts_from_bars import market_facts
from trading.execution.profile_store import ProfileStore
from trading.execution.replay import ReplayDay, modelled_day, recorded_day
from trading.execution.replay_bars import stored_bars
from trading.execution.smart.plan import SessionHours
from trading.marketdata.bars import BarStore
from trading.marketdata.errors import SourceError
from trading.marketdata.intraday import IntradayStore
from trading.marketdata.sources import open_intraday_source, open_source


def past_hours(day: date, now: datetime, exchange: str) -> SessionHours:
    """Return a past session's hours, early closes included, by pandas_market_calendars.

    Raises:
        ValueError: if the exchange was closed that day, or the session has not ended yet.
    """
    from trading.marketdata.sessions import LEAST_SPAN, closed_hours

    if day > now.date():
        raise ValueError(f"{day} has not ended: choose a past trading day")
    # Some days more, as a table without a session is none.
    found = closed_hours(day - LEAST_SPAN, min(now, _days_after(day, now)), exchange)
    found = found[found.index == str(day)]
    if found.empty:
        why = "has not ended" if day == now.date() else f"is no session of {exchange}"
        raise ValueError(f"{day} {why}: choose a past trading day")
    row = found.iloc[0]
    return SessionHours(
        day=day,
        open=row["open"].to_pydatetime(),
        close=row["close"].to_pydatetime(),
        is_early_close=bool(row["is_early"]),
    )


def _days_after(day: date, now: datetime) -> datetime:
    """An instant at which `day` has ended wherever on earth the exchange is."""
    return datetime(day.year, day.month, day.day, tzinfo=now.tzinfo) + timedelta(days=2)


def take_in(source: str, symbols: Sequence[str], day: date, folder: Path, now: datetime) -> None:
    """Store what a source has of the symbols in `folder`, checked as the refresh jobs do, with the volume
    profiles of the sessions before `day`.

    Raises:
        SourceError: if the source is not there, or the bars of one of the symbols cannot be used.
    """
    from trading.execution.volume_profiles import measure_profile

    _take_daily(source, symbols, folder, now)
    _take_intraday(source, symbols, folder, now)
    profiles = {}
    for symbol in symbols:
        try:
            profiles[symbol] = measure_profile(symbol, folder, before=day)
        except PlanError:
            continue  # too few sessions: the facts take the default curve and say so
    ProfileStore(folder).write(profiles)


def _take_daily(source: str, symbols: Sequence[str], folder: Path, now: datetime) -> None:
    from trading.marketdata.refresh import Refresher
    from trading.marketdata.sessions import ClosedSessions

    opened = open_source(source)
    refresher = Refresher(store=BarStore(folder), source=opened, sessions=ClosedSessions(now), now=now)
    for symbol in sorted(set(symbols) & set(opened.symbols())):
        result = refresher.refresh(symbol)
        if result.is_bad:
            said = [*result.notes, *(finding.text for finding in result.findings)]
            raise SourceError(f"{source}: the daily bars of {symbol} cannot be used: {'; '.join(said[:3])}")


def _take_intraday(source: str, symbols: Sequence[str], folder: Path, now: datetime) -> None:
    from trading.marketdata.intraday_refresh import IntradayRefresher

    opened = open_intraday_source(source)
    if opened is None:
        return
    refresher = IntradayRefresher(store=IntradayStore(folder), source=opened, now=now)
    for batch in opened.batches():
        for series in opened.fetch_batch(batch.name):
            if series.symbol in symbols:
                refresher.refresh(batch, series)


def known_before(symbols: Sequence[str], day: date, folders: Sequence[Path]) -> dict[str, MarketFacts]:
    """Return what was known of the symbols before `day`; of several data folders the first that has a
    symbol's daily bars counts.

    Raises:
        PlanError: if nothing is known of one of them.
    """
    found = {}
    for symbol in symbols:
        there = [folder for folder in folders if symbol in BarStore(folder).entries()]
        folder = there[0] if there else folders[-1]
        found[symbol] = market_facts(symbol, BarStore(folder), ProfileStore(folder), before=day)
    return found


def day_to_replay(
    hours: SessionHours, facts: dict[str, MarketFacts], folder: Path, *, is_modelled: bool
) -> ReplayDay:
    """Return the day: of the bars stored in `folder`, or a model of one.

    Raises:
        BarStoreError: if a symbol has no bars that day.
        PlanError: if they are too long.
    """
    if is_modelled:
        return modelled_day(hours, facts, PAPER_MARKET_SEED)
    return recorded_day(hours, stored_bars(IntradayStore(folder), list(facts), hours), facts)
