"""Brings stored bars up to date with a source: fetch, check, and only then replace.

Light until there is something to do: `is_fresh` needs no pandas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from trading.marketdata.bars import BarStore
from trading.marketdata.errors import BarStoreError, SourceError
from trading.marketdata.findings import Finding, FindingLog, Severity, refusals
from trading.marketdata.index import Entry
from trading.marketdata.sources.source import Fetched, Source

if TYPE_CHECKING:
    import pandas as pd

    from trading.marketdata.revisions import Difference
    from trading.marketdata.sessions import ClosedSessions


class Status(StrEnum):
    """What became of one symbol."""

    FRESH = "fresh"  # the source has nothing new; nothing was read
    UNCHANGED = "unchanged"  # it was read again and holds the same bars
    WRITTEN = "written"
    REFUSED = "refused"  # the new bars cannot be used; the stored ones stay
    FAILED = "failed"  # the source could not deliver; the stored ones stay


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRefresh:
    """One symbol's refresh. added: bars with new dates; revised: old bars whose raw numbers changed.

    difference: of the bars that were stored just now from those before, None if there were none to compare
    with. first, last: dates of the bars now stored, None when there are none. findings: of the bars that were
    fetched; notes: sentences for people.
    """

    symbol: str
    status: Status
    added: int = 0
    revised: int = 0
    difference: Difference | None = None
    first: date | None = None
    last: date | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether a person must act: the bars stored are not what they should be."""
        return self.status in (Status.REFUSED, Status.FAILED)


def is_fresh(store: BarStore, source: Source, symbol: str) -> bool:
    """Return whether the stored bars are the source's present ones, by its fingerprint alone.

    Raises SourceError when the source does not have the symbol.
    """
    return holds_present(store.entries().get(symbol), source, symbol)


def holds_present(entry: Entry | None, source: Source, symbol: str) -> bool:
    """Return whether what `entry` tells of is the source's present version. Raises as `is_fresh` does."""
    mark = source.fingerprint(symbol)
    return entry is not None and entry.source == source.name and entry.fingerprint == mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresher:
    """Refreshes symbol by symbol. now: aware UTC. accept_loss: store even a history shorter than before.

    whole: fetch and compare even what the source's mark calls unchanged, and record how the history differs.
    ended: the last dates of symbols that are known to have ended, by symbol: their age is no warning.
    """

    store: BarStore
    source: Source
    sessions: ClosedSessions
    now: datetime
    accept_loss: bool = False
    whole: bool = False
    ended: Mapping[str, date] = field(default_factory=dict)

    def run(self, symbols: Sequence[str], should_stop: Callable[[], bool]) -> Iterator[SymbolRefresh]:
        """Yield each symbol's result; stops before the next symbol once `should_stop()` says so."""
        for symbol in symbols:
            if should_stop():
                return
            yield self.refresh(symbol)

    def refresh(self, symbol: str) -> SymbolRefresh:
        """Bring one symbol up to date. What is wrong with it is in the result, never raised.

        Raises:
            OSError: if the bars cannot be written (a full disk, no permission).
        """
        try:
            if not self.whole and is_fresh(self.store, self.source, symbol):
                entry = self.store.entries()[symbol]
                return SymbolRefresh(symbol=symbol, status=Status.FRESH, first=entry.first, last=entry.last)
            fetched = self.source.fetch(symbol)
        except SourceError as error:
            return self._failed(symbol, error)
        return self._take(symbol, fetched)

    def _take(self, symbol: str, fetched: Fetched) -> SymbolRefresh:
        from trading.marketdata.quality import check_bars
        from trading.marketdata.revisions import check_history_kept

        frame = fetched.frame
        first = frame.index.min().date()
        ends_on = fetched.ends_on or self.ended.get(symbol)
        found = check_bars(symbol, frame, self.sessions.since(first), ends_on=ends_on)
        old, notes = self._stored(symbol)
        bad = refusals(found)
        if not bad and old is not None and not self.accept_loss:
            bad = check_history_kept(symbol, old, frame)
        if bad:
            FindingLog(self.store.data_dir).replace([symbol], bad, self.now, offered=True)
            return SymbolRefresh(
                symbol=symbol,
                status=Status.REFUSED,
                first=None if old is None else old.index[0].date(),
                last=None if old is None else old.index[-1].date(),
                findings=(*found, *(f for f in bad if f not in found)),
                notes=(*notes, *fetched.notes),
            )
        return self._store(symbol, fetched, old, found, (*notes, *fetched.notes))

    def _store(
        self,
        symbol: str,
        fetched: Fetched,
        old: pd.DataFrame | None,
        found: list[Finding],
        notes: tuple[str, ...],
    ) -> SymbolRefresh:
        from trading.marketdata.revisions import compare, is_same

        frame = fetched.frame
        difference = None if old is None else compare(old, frame)
        changes = self._changes(symbol, fetched, old, difference)
        is_kept = (
            old is not None and is_same(old, frame) and self.store.meta(symbol).ends_on == fetched.ends_on
        )
        if is_kept:
            self.store.mark(symbol, fetched.fingerprint)
        else:
            self.store.write(
                symbol,
                frame,
                self.source.name,
                fetched_at=self.now,
                fingerprint=fetched.fingerprint,
                ends_on=fetched.ends_on,
            )
        log = FindingLog(self.store.data_dir)
        log.replace([symbol], [*found, *changes], self.now)
        log.replace([symbol], [], self.now, offered=True)
        return SymbolRefresh(
            symbol=symbol,
            status=Status.UNCHANGED if is_kept else Status.WRITTEN,
            added=len(frame) if difference is None else difference.added + difference.filled,
            revised=0 if difference is None else difference.revised,
            difference=difference,
            first=frame.index[0].date(),
            last=frame.index[-1].date(),
            findings=(*found, *changes),
            notes=notes,
        )

    def _changes(
        self, symbol: str, fetched: Fetched, old: pd.DataFrame | None, difference: Difference | None
    ) -> list[Finding]:
        """What is to be recorded of the change of bars that are stored; to be called before they are."""
        from trading.marketdata.revisions import check_revisions, check_whole_history

        if old is None or difference is None:
            return []
        found = check_revisions(symbol, old, fetched.frame)
        if not self.whole:
            return found
        entry = self.store.entries().get(symbol)
        marked = entry is None or entry.fingerprint != fetched.fingerprint
        return [*found, *check_whole_history(symbol, difference, marked=marked)]

    def _stored(self, symbol: str) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
        """The bars to compare with: None when there are none, they came from elsewhere or are damaged."""
        if not self.store.path(symbol).exists():
            return None, ()
        try:
            before = self.store.meta(symbol).source
            if before != self.source.name:
                return None, (f"replaces the bars of another source ({before})",)
            return self.store.read(symbol), ()
        except BarStoreError as error:
            return None, (f"replaces a damaged file: {error}",)

    def _failed(self, symbol: str, error: SourceError) -> SymbolRefresh:
        finding = Finding(
            check="bad_line" if len(error.problems) > 1 or ".csv" in error.problems[0] else "source",
            symbol=symbol,
            severity=Severity.REFUSE,
            value=float(len(error.problems)),
            text="; ".join(error.problems[:5]) + ("; ..." if len(error.problems) > 5 else ""),
        )
        FindingLog(self.store.data_dir).replace([symbol], [finding], self.now, offered=True)
        last = self.store.entries().get(symbol)
        return SymbolRefresh(
            symbol=symbol,
            status=Status.FAILED,
            first=last.first if last else None,
            last=last.last if last else None,
            findings=(finding,),
            notes=error.problems,
        )
