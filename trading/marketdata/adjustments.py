"""Checks of splits, dividends and the adjusted close against each other.

The factor of a day is (close / previous close) / (adj_close / previous adj_close): 1 on a plain day, 1/2 on
the day of a 2:1 split, a little below 1 on a dividend's ex-date.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import numpy as np
import pandas as pd

from trading.marketdata.findings import Finding, Severity

RATIOS = tuple(
    sorted(
        {Fraction(n) for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100)}
        | {Fraction(3, 2), Fraction(4, 3), Fraction(5, 4), Fraction(5, 2), Fraction(5, 3)}
    )
)
"""New shares per old of the splits that companies make; each may also be a reverse split (1:n)."""
RATIO_TOLERANCE = 0.02
"""How near a factor must be to a ratio: a dividend on the same day moves it a little."""
JUMP = 0.15
"""Log size of a factor that no ordinary dividend makes."""
UNADJUSTED_JUMP = 0.55
"""Log size of a move of adj_close that is taken for a split left out: below 2:1 it is more likely news."""
LARGE_DISTRIBUTION = 0.15
"""A dividend above this share of the price is more likely a spin-off or an error."""
ADJUSTMENT_TOLERANCE = 0.003
"""How far adj_close may be from what split and dividend say: vendors' rounding stays below 0.002."""


def check_splits(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A raw jump near n:m that adj_close does not make, unless the split column names it.

    value: the ratio seen, in new shares per old; expected: the ratio it is near.
    """
    raw, adjusted = _moves(frame["close"]), _moves(frame["adj_close"])
    jump = adjusted - raw
    factor = pd.Series(np.exp(jump), index=frame.index)
    known = frame["split"] if "split" in frame.columns else pd.Series(1.0, index=frame.index)
    findings = []
    for stamp in frame.index[(jump.abs() > JUMP) & (known.sub(1).abs() < 0.001)]:
        near = nearest_ratio(float(factor[stamp]))
        if near is None:
            continue
        findings.append(
            Finding(
                check="split_suspected",
                symbol=symbol,
                day=_day(stamp),
                value=round(float(factor[stamp]), 5),
                expected=float(near),
                severity=Severity.WARN if "split" in frame.columns else Severity.INFO,
                text=f"looks like a {_said(near)} split: the raw close jumps, adj_close does not",
            )
        )
    return findings


def check_unadjusted(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A jump near n:m that raw and adjusted close both make: a split left out of adj_close.

    value: the price's ratio, old to new; expected: the ratio of shares it is near.
    """
    raw, adjusted = _moves(frame["close"]), _moves(frame["adj_close"])
    both = (adjusted.abs() > UNADJUSTED_JUMP) & ((raw - adjusted).abs() < JUMP)
    findings = []
    for stamp in frame.index[both]:
        ratio = float(np.exp(-adjusted[stamp]))
        near = nearest_ratio(ratio)
        if near is not None:
            findings.append(
                Finding(
                    check="split_unadjusted",
                    symbol=symbol,
                    day=_day(stamp),
                    value=round(ratio, 5),
                    expected=float(near),
                    text=f"adj_close jumps as in a {_said(near)} split: it may not be adjusted",
                )
            )
    return findings


def check_split_ratios(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A booked split that no company makes (1.054): a spin-off entered as one.

    Nothing without a split column.
    """
    if "split" not in frame.columns:
        return []
    booked = frame["split"][frame["split"].sub(1).abs() >= 0.001]
    return [
        Finding(
            check="odd_split",
            symbol=symbol,
            day=_day(stamp),
            value=float(ratio),
            text=f"has a split of {ratio:g}: a spin-off booked as a split?",
        )
        for stamp, ratio in booked.items()
        if nearest_ratio(float(ratio)) is None
    ]


def check_distributions(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """A dividend above 15 % of the price before it. Nothing without a dividend column.

    value: the dividend per share; expected: the price before it, on this day's share count.
    """
    if "dividend" not in frame.columns:
        return []
    before = frame["close"].shift() / (frame["split"] if "split" in frame.columns else 1.0)
    large = frame["dividend"] > LARGE_DISTRIBUTION * before
    return [
        Finding(
            check="large_dividend",
            symbol=symbol,
            day=_day(stamp),
            value=float(frame["dividend"][stamp]),
            expected=round(float(before[stamp]), 4),
            text=f"has a dividend of {frame['dividend'][stamp]:g} "
            f"on a price of {before[stamp]:.2f}: a spin-off?",
        )
        for stamp in frame.index[large]
    ]


def check_adjusted_close(symbol: str, frame: pd.DataFrame) -> list[Finding]:
    """adj_close moves otherwise than close, split and dividend say. Nothing unless both columns are there.

    value: the day's return of adj_close; expected: (close * split + dividend) / previous close - 1.
    """
    if not {"split", "dividend"} <= set(frame.columns):
        return []
    total = (frame["close"] * frame["split"] + frame["dividend"]) / frame["close"].shift() - 1
    moved = frame["adj_close"] / frame["adj_close"].shift() - 1
    off = (moved - total).abs() > ADJUSTMENT_TOLERANCE
    return [
        Finding(
            check="adjusted_close",
            symbol=symbol,
            day=_day(stamp),
            value=round(float(moved[stamp]), 6),
            expected=round(float(total[stamp]), 6),
            text=f"adj_close moves {100 * moved[stamp]:+.2f} %, "
            f"close, split and dividend say {100 * total[stamp]:+.2f} %",
        )
        for stamp in frame.index[off]
    ]


ADJUSTMENT_CHECKS = (
    check_splits,
    check_unadjusted,
    check_split_ratios,
    check_distributions,
    check_adjusted_close,
)


def nearest_ratio(factor: float) -> Fraction | None:
    """Return the split ratio (new shares per old) within 2 % of `factor`, None if there is none.

    A reverse split is 1:n, below 1.
    """
    candidates = [*RATIOS, *(1 / ratio for ratio in RATIOS)]
    best = min(candidates, key=lambda ratio: abs(factor / float(ratio) - 1))
    return best if abs(factor / float(best) - 1) <= RATIO_TOLERANCE else None


def _moves(prices: pd.Series) -> pd.Series:
    return pd.Series(np.log(prices), index=prices.index).diff()


def _said(ratio: Fraction) -> str:
    return f"{ratio.numerator}:{ratio.denominator}"


def _day(stamp: object) -> date:
    day: date = pd.Timestamp(stamp).date()  # type: ignore[arg-type]  # an index label; a date by construction
    return day
