"""What a source has changed in bars that are stored: lost ones, revised ones, a new adjustment.

A dividend or split scales every older adj_close by one factor (CRSP's and every vendor's way of adjusting
backwards); an adj_close that changes otherwise was revised, as a raw price can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from trading.marketdata.bars import COLUMNS, OPTIONAL, PRICES
from trading.marketdata.findings import Finding, Severity, capped

SAME = 1e-9
"""Relative difference below which two prices are the same number, written differently."""
FACTOR_TOLERANCE = 0.003
"""How far, as a share of the price, an adj_close may be from the common factor of all."""
FACTOR_ROUNDING = 0.01
"""And in money: old prices adjusted to a few cents are rounded to one of them."""
ONE_SHARE = 0.95
"""Share of a symbol's bars that another symbol must repeat to be its new name; vendors revise a few."""
LEAST_SHARED = 60
"""And their least number: a quarter of a year of equal closes and volumes is no accident."""
RAW = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How offered bars differ from the stored ones. All counts are of bars.

    added: after the last stored date; filled: new dates before it (a gap that has closed); revised: a raw
    price or the volume changed; readjusted: nothing but adj_close; rebooked: nothing but dividend or split.
    first: the earliest changed date. largest: the largest |new / old - 1| of a price, seen at `largest_at` in
    the column `largest_in`; 0, None and "" if no price changed (from one that was a number above 0).
    """

    added: int = 0
    filled: int = 0
    revised: int = 0
    readjusted: int = 0
    rebooked: int = 0
    first: date | None = None
    largest: float = 0.0
    largest_at: date | None = None
    largest_in: str = ""

    @property
    def changed(self) -> int:
        """Stored bars whose numbers are others now."""
        return self.revised + self.readjusted + self.rebooked


def compare(old: pd.DataFrame, new: pd.DataFrame) -> Difference:
    """Return how `new` differs from the stored `old`; both in order and without duplicates."""
    fresh = new.index[~new.index.isin(old.index)]
    before, after = _shared(old, new)
    raw = _any_differs(before, after, RAW)
    adjusted = _differs(before["adj_close"], after["adj_close"]) & ~raw
    booked = _any_differs(before, after, OPTIONAL) & ~raw & ~adjusted
    changed = before.index[raw | adjusted | booked]
    size, at, column = _largest(before, after)
    return Difference(
        added=int((fresh > old.index[-1]).sum()),
        filled=int((fresh < old.index[-1]).sum()),
        revised=int(raw.sum()),
        readjusted=int(adjusted.sum()),
        rebooked=int(booked.sum()),
        first=changed[0].date() if len(changed) else None,
        largest=size,
        largest_at=at,
        largest_in=column,
    )


def is_same(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    """Return whether both hold the same bars and columns, numbers within SAME."""
    if {*old.columns} != {*new.columns} & {*COLUMNS, *OPTIONAL} or len(old) != len(new):
        return False
    if not (old.index == new.index).all():
        return False
    return not _any_differs(old, new, tuple(old.columns)).any()


def is_continued(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    """Return whether `new` is the history of `old` under another name: nearly all of its bars (ONE_SHARE), at
    least LEAST_SHARED of them, with the same close and volume. `new` may be in any order.
    """
    before, after = _shared(old, new[~new.index.duplicated()])
    same = ~_any_differs(before, after, ("close", "volume"))
    return int(same.sum()) >= max(LEAST_SHARED, ONE_SHARE * len(old))


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
    """Old bars whose numbers changed: one finding each for raw ones (`capped`), one in all for adj_close,
    which every dividend changes backwards. value, expected: the new and the old close.
    """
    before, after = _shared(old, new)
    raw = _any_differs(before, after, RAW)
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
                if not abs(after[name][stamp] - before[name][stamp]) <= SAME * abs(before[name][stamp])
            ),
        )
        for stamp in before.index[raw]
    ]
    adjusted = _differs(before["adj_close"], after["adj_close"]) & ~raw
    return [*capped(findings), *_readjusted(symbol, before["adj_close"], after["adj_close"], adjusted)]


def check_whole_history(symbol: str, difference: Difference, *, marked: bool) -> list[Finding]:
    """What a comparison of the whole history has come to, as one finding; nothing if no old bar changed.

    marked: whether the source's own mark (a file's size and time) had told of a change.
    """
    if not difference.changed:
        return []
    parts = ((difference.revised, "raw"), (difference.readjusted, "adj_close only"))
    said = ", ".join(
        f"{n} {what}" for n, what in (*parts, (difference.rebooked, "dividend or split only")) if n
    )
    text = f"and after: {difference.changed} stored bars differ from the source ({said})"
    if difference.largest_at is not None:
        size = f"{100 * difference.largest:.3g} %"
        text += f", by at most {size} ({difference.largest_in} of {difference.largest_at})"
    return [
        Finding(
            check="history_changed",
            symbol=symbol,
            day=difference.first,
            value=float(difference.changed),
            expected=0.0,
            severity=Severity.WARN if difference.revised or not marked else Severity.INFO,
            text=text if marked else f"{text}; the source's mark had not changed",
        )
    ]


def _readjusted(symbol: str, before: pd.Series, after: pd.Series, adjusted: pd.Series) -> list[Finding]:
    if not adjusted.any():
        return []
    ratio = after[adjusted] / before[adjusted]
    factor = float(ratio.median())
    off = (after[adjusted] - factor * before[adjusted]).abs()
    is_even = bool((off <= FACTOR_TOLERANCE * after[adjusted] + FACTOR_ROUNDING).all())
    count = int(adjusted.sum())
    how = (
        f"by the factor {factor:.5g} (a dividend or split since)"
        if is_even
        else f"unevenly, by factors from {ratio.min():.4g} to {ratio.max():.4g}: revised, or wrong before"
    )
    return [
        Finding(
            check="readjusted",
            symbol=symbol,
            day=before.index[-1].date(),
            value=float(count),
            severity=Severity.INFO if is_even else Severity.WARN,
            text=f"and before: adj_close of {count} bars changed {how}",
        )
    ]


def _shared(old: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    shared = new.index[new.index.isin(old.index)]
    return old.loc[shared], new.loc[shared]


def _any_differs(before: pd.DataFrame, after: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Which bars differ in one of the columns that both have."""
    differs = pd.Series(False, index=before.index)
    for name in names:
        if name in before.columns and name in after.columns:
            differs |= _differs(before[name], after[name])
    return differs


def _differs(before: pd.Series, after: pd.Series) -> pd.Series:
    # Turned round, so that a stored value that is no number differs from every other.
    return ~((after - before).abs() <= SAME * before.abs())


def _largest(before: pd.DataFrame, after: pd.DataFrame) -> tuple[float, date | None, str]:
    if not len(before):
        return 0.0, None, ""
    old, new = before[list(PRICES)].to_numpy(), after[list(PRICES)].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs(new / old - 1)
    size[~np.isfinite(size)] = 0.0  # stored by hand; counted among the revised
    row, column = divmod(int(size.argmax()), len(PRICES))
    if size[row, column] <= SAME:
        return 0.0, None, ""
    return float(size[row, column]), before.index[row].date(), PRICES[column]
