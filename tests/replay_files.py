"""A folder of CSV files with one made-up symbol: its daily bars of a winter, and minute bars of two days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from math import sin
from pathlib import Path

from tests.intraday_files import clock, write_intraday

SYMBOL = "ACME"
FULL, EARLY = date(2019, 2, 14), date(2018, 12, 24)
"""A usual session, and one that closed at 13:00 in New York."""
VOLUME = 1_000
"""Shares of each minute."""


def minute_lines(day: date, minutes: int, length: int = 1) -> list[str]:
    """Bars around 100 $ that go up and down by 0.3 $ in some 40 minutes."""
    lines = []
    for at in range(0, minutes, length):
        first, last = 100 + 0.3 * sin(at / 6), 100 + 0.3 * sin((at + length) / 6)
        high, low = max(first, last) + 0.01, min(first, last) - 0.01
        lines.append(f"{day} {clock(at)},{first:.2f},{high:.2f},{low:.2f},{last:.2f},{VOLUME * length}")
    return lines


def daily_lines(first: date, last: date, holidays: Sequence[date] = ()) -> list[str]:
    """A bar each weekday, 1 % up and down in turn around 100 $."""
    found: list[str] = []
    day = first
    while day <= last:
        if day.weekday() < 5 and day not in holidays:
            close = 101 if len(found) % 2 else 100
            found.append(f"{day},{close},{close},{close},{close},{390 * VOLUME},{close}")
        day += timedelta(days=1)
    return found


def write_folder(folder: Path, *, minutes: int = 1) -> Path:
    """Write SYMBOL's daily bars, and the two days' intraday bars of that length; return the folder."""
    closed = (date(2018, 11, 22), date(2018, 12, 5), date(2018, 12, 25), date(2019, 1, 1), date(2019, 1, 21))
    daily = daily_lines(date(2018, 10, 1), date(2019, 2, 15), closed)
    folder.mkdir(parents=True, exist_ok=True)
    header = "date,open,high,low,close,volume,adj_close"
    (folder / f"{SYMBOL}.csv").write_text("\n".join([header, *daily]) + "\n")
    lines = minute_lines(EARLY, 210, minutes) + minute_lines(FULL, 390, minutes)
    write_intraday(folder, f"{SYMBOL}_{minutes}min.csv", lines)
    return folder
