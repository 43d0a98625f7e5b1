"""Takes a source's intraday batches into the store: fetch, place, check, and only then merge.

Light until there is something to do: `due_batches` needs no pandas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trading.marketdata.errors import BarStoreError, SourceError
from trading.marketdata.findings import Finding
from trading.marketdata.intraday import IntradayStore
from trading.marketdata.intraday_index import TakenBatch, read_batches, read_entries, write_batches
from trading.marketdata.refresh import Status
from trading.marketdata.sessions import EXCHANGE, closed_hours
from trading.marketdata.sources.source import Batch, IntradaySeries, IntradaySource

if TYPE_CHECKING:
    import pandas as pd

    from trading.marketdata.intraday import Merged


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRefresh:
    """What became of one symbol's bars of one batch.

    symbol: empty when the whole batch could not be read. added, replaced: sessions stored; refused: sessions
    that cannot be used, and those that had clearly more bars before (stored ones stay). outside: bars outside
    the sessions, not stored; later: bars of sessions that have not closed yet, left for the next run.
    """

    batch: str
    symbol: str
    status: Status
    minutes: int = 0
    added: int = 0
    replaced: int = 0
    refused: int = 0
    outside: int = 0
    later: int = 0
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether a person must act: something delivered is not stored that should be."""
        return self.refused > 0 or self.status in (Status.REFUSED, Status.FAILED)


def due_batches(data_dir: Path, source: IntradaySource) -> list[Batch]:
    """Return the batches of `source` that are not stored whole as they are now.

    Raises SourceError when the source is not there.
    """
    taken, stored = read_batches(data_dir, source.name), read_entries(data_dir)

    def is_taken(batch: Batch) -> bool:
        before = taken.get(batch.name)
        return (
            before is not None and before.fingerprint == batch.fingerprint and {*before.series} <= {*stored}
        )

    return [batch for batch in source.batches() if not is_taken(batch)]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntradayRefresher:
    """Refreshes batch by batch. now: aware UTC; only sessions closed by then are stored. accept_loss: let a
    stored session be replaced even by one with clearly fewer bars."""

    store: IntradayStore
    source: IntradaySource
    now: datetime
    exchange: str = EXCHANGE
    accept_loss: bool = False
    _hours: dict[int, pd.DataFrame] = field(default_factory=dict, init=False, repr=False)

    def run(self, batches: Sequence[Batch], should_stop: Callable[[], bool]) -> Iterator[SeriesRefresh]:
        """Yield each series' result; stops before the next one once `should_stop()` says so.

        A batch is recorded as taken when all of it is stored. Raises OSError if bars cannot be written.
        """
        for batch in batches:
            if should_stop():
                return
            try:
                series = self.source.fetch_batch(batch.name)
            except SourceError as error:
                yield SeriesRefresh(batch=batch.name, symbol="", status=Status.FAILED, notes=error.problems)
                continue
            is_whole = True
            for one in series:
                if should_stop():
                    return
                result = self.refresh(batch, one)
                is_whole = is_whole and not result.is_bad and not result.later
                yield result
            if is_whole:
                self._record(batch, series)

    def refresh(self, batch: Batch, series: IntradaySeries) -> SeriesRefresh:
        """Store what can be used of one series. What is wrong with it is in the result, never raised.

        Raises:
            OSError: if the bars cannot be written (a full disk, no permission).
        """
        from trading.marketdata.intraday_quality import check_days, place, unusable_days

        placed = place(series.frame, self._hours_since(series.frame.index.min().date()))
        found = check_days(series.symbol, series.minutes, placed)
        bad = unusable_days(found)
        usable = placed.bars[~placed.bars["day"].dt.date.isin(bad)].sort_index()
        try:
            merged = self._merge(series, usable)
        except BarStoreError as error:
            return SeriesRefresh(
                batch=batch.name,
                symbol=series.symbol,
                minutes=series.minutes,
                status=Status.FAILED,
                findings=tuple(found),
                notes=(str(error),),
            )
        notes = tuple(
            f"{day} has clearly more bars in the store; if fewer are right, run again with --accept-loss"
            for day in merged.kept
        )
        changed = merged.added + merged.replaced
        refused = len(bad) + len(merged.kept)
        return SeriesRefresh(
            batch=batch.name,
            symbol=series.symbol,
            minutes=series.minutes,
            status=Status.WRITTEN if changed else Status.REFUSED if refused else Status.UNCHANGED,
            added=merged.added,
            replaced=merged.replaced,
            refused=refused,
            outside=placed.outside,
            later=placed.later,
            findings=tuple(found),
            notes=notes,
        )

    def _merge(self, series: IntradaySeries, usable: pd.DataFrame) -> Merged:
        from trading.marketdata.intraday import Merged

        if not len(usable):
            self.store.folder(series.symbol, series.minutes)
            return Merged()
        return self.store.merge(
            series.symbol,
            series.minutes,
            usable,
            self.source.name,
            fetched_at=self.now,
            accept_loss=self.accept_loss,
        )

    def _record(self, batch: Batch, series: Sequence[IntradaySeries]) -> None:
        """Note that a batch is stored. Series of which it had no bar within a session are not waited for."""
        stored = read_entries(self.store.data_dir)
        names = tuple((s.symbol, s.minutes) for s in series if (s.symbol, s.minutes) in stored)
        taken = read_batches(self.store.data_dir, self.source.name)
        taken[batch.name] = TakenBatch(fingerprint=batch.fingerprint, series=names)
        write_batches(self.store.data_dir, self.source.name, taken)

    def _hours_since(self, first: date) -> pd.DataFrame:
        """The hours of the sessions closed by now, from the year before `first` on."""
        year = min(first.year, self.now.year) - 1
        if year not in self._hours:
            self._hours[year] = closed_hours(date(year, 1, 1), self.now, self.exchange)
        return self._hours[year]
