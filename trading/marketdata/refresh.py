"""Brings stored bars up to date with a source: fetch, check, and only then replace.

Light until there is something to do: `is_fresh` needs no pandas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from trading.marketdata.bars import COLUMNS, OPTIONAL, BarStore
from trading.marketdata.errors import BarStoreError, SourceError
from trading.marketdata.findings import Finding, FindingLog, Severity, capped, refusals
from trading.marketdata.sources.source import Fetched, Source

if TYPE_CHECKING:
    import pandas as pd

    from trading.marketdata.sessions import ClosedSessions

SAME = 1e-9
"""Relative difference below which two prices are the same number, written differently."""


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

    first, last: dates of the bars now stored, None when there are none. findings: of the bars that were
    fetched; notes: sentences for people.
    """

    symbol: str
    status: Status
    added: int = 0
    revised: int = 0
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
    entry = store.entries().get(symbol)
    mark = source.fingerprint(symbol)
    return entry is not None and entry.source == source.name and entry.fingerprint == mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresher:
    """Refreshes symbol by symbol. now: aware UTC. accept_loss: store even a history shorter than before."""

    store: BarStore
    source: Source
    sessions: ClosedSessions
    now: datetime
    accept_loss: bool = False

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
            if is_fresh(self.store, self.source, symbol):
                entry = self.store.entries()[symbol]
                return SymbolRefresh(symbol=symbol, status=Status.FRESH, first=entry.first, last=entry.last)
            fetched = self.source.fetch(symbol)
        except SourceError as error:
            return self._failed(symbol, error)
        return self._take(symbol, fetched)

    def _take(self, symbol: str, fetched: Fetched) -> SymbolRefresh:
        from trading.marketdata.quality import check_bars

        frame = fetched.frame
        first = frame.index.min().date()
        found = check_bars(symbol, frame, self.sessions.since(first), ends_on=fetched.ends_on)
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
        frame = fetched.frame
        changes = [] if old is None else check_revisions(symbol, old, frame)
        is_same = (
            old is not None and _is_same(old, frame) and self.store.meta(symbol).ends_on == fetched.ends_on
        )
        if is_same:
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
        log.replace([symbol], [*found, *capped(changes)], self.now)
        log.replace([symbol], [], self.now, offered=True)
        return SymbolRefresh(
            symbol=symbol,
            status=Status.UNCHANGED if is_same else Status.WRITTEN,
            added=len(frame) if old is None else int((~frame.index.isin(old.index)).sum()),
            revised=sum(f.check == "revision" for f in changes),
            first=frame.index[0].date(),
            last=frame.index[-1].date(),
            findings=(*found, *capped(changes)),
            notes=notes,
        )

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


def check_history_kept(symbol: str, old: pd.DataFrame, new: pd.DataFrame) -> list[Finding]:
    """Bars that were stored and that the source no longer has: a truncated file, most often. Refused."""
    lost = old.index[~old.index.isin(new.index)]
    if not len(lost):
        return []
    return [
        Finding(
            check="history_lost",
            symbol=symbol,
            day=lost[0].date(),
            value=float(len(lost)),
            expected=0.0,
            severity=Severity.REFUSE,
            text=f"and {len(lost) - 1} more stored bars are gone from the source; "
            f"if that is right, run again with --accept-loss",
        )
    ]


def check_revisions(symbol: str, old: pd.DataFrame, new: pd.DataFrame) -> list[Finding]:
    """Old bars whose numbers changed: one finding each for raw ones, one in all for adj_close (every dividend
    changes that backwards). value, expected: the new and the old close.
    """
    shared = new.index[new.index.isin(old.index)]
    before, after = old.loc[shared], new.loc[shared]
    changed = {name: _differs(before[name], after[name]) for name in COLUMNS}
    raw = changed["close"].copy()
    for name in ("open", "high", "low", "volume"):
        raw |= changed[name]
    findings = [
        Finding(
            check="revision",
            symbol=symbol,
            day=stamp.date(),
            value=float(after["close"][stamp]),
            expected=float(before["close"][stamp]),
            text="was revised by the source: "
            + ", ".join(
                f"{name} {before[name][stamp]:g} -> {after[name][stamp]:g}"
                for name in COLUMNS
                if changed[name][stamp]
            ),
        )
        for stamp in shared[raw]
    ]
    adjusted = changed["adj_close"] & ~raw
    if adjusted.any():
        count = int(adjusted.sum())
        findings.append(
            Finding(
                check="readjusted",
                symbol=symbol,
                day=shared[-1].date(),
                value=float(count),
                severity=Severity.INFO,
                text=f"and before: adj_close of {count} bars changed (a dividend or split since)",
            )
        )
    return findings


def _differs(before: pd.Series, after: pd.Series) -> pd.Series:
    return (after - before).abs() > SAME * before.abs()


def _is_same(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    names = [*COLUMNS, *(name for name in OPTIONAL if name in old.columns or name in new.columns)]
    if len(old) != len(new) or not (old.index == new.index).all() or not set(names) <= {*old.columns}:
        return False
    if not set(names) <= {*new.columns}:
        return False
    return not any(_differs(old[name], new[name]).any() for name in names)
