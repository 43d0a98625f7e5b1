"""The returns of a study's trials, read some at a time, so that no study is too large."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from trading.backtest.history import Floats


class StudyReturns(Protocol):
    """The trials of one study that went through every window and traded, by number."""

    @property
    def periods(self) -> int:
        """How many returns each has; 0 without trials."""

    @property
    def trials(self) -> int: ...

    def pieces(self, at_once: int) -> Iterator[Floats]:
        """Yield the trials' returns, each piece of shape (periods, at most `at_once`), in Fortran order."""

    def of(self, index: int) -> Floats:
        """Return the returns of trial `index`, counted from 0, shape (periods,)."""


class HeldReturns:
    """Returns at hand, shape (periods, trials)."""

    def __init__(self, returns: Floats) -> None:
        self._returns = np.asfortranarray(returns)
        self.periods, self.trials = returns.shape

    def pieces(self, at_once: int) -> Iterator[Floats]:
        for first in range(0, self.trials, at_once):
            yield self._returns[:, first : first + at_once]

    def of(self, index: int) -> Floats:
        return self._returns[:, index]


@dataclass(slots=True)
class LoggedReturns:
    """Returns as `trading.research.trials` keeps them: what `TrialLog.matrix` says, without holding it.

    A trial of another length than the first one's, of a run that was cut off, is left out. Raises
    sqlite3.Error.
    """

    path: Path
    study: str
    periods: int = field(init=False, default=0)
    _rows: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        with closing(self._open()) as db:
            found = db.execute(
                "SELECT rowid, length(returns) FROM trial_returns "
                "WHERE study = ? AND whole AND fills > 0 ORDER BY number",
                (self.study,),
            ).fetchall()
        if found:
            self.periods = found[0][1] // 4
            self._rows = [row for row, size in found if size == found[0][1]]

    @property
    def trials(self) -> int:
        return len(self._rows)

    def pieces(self, at_once: int) -> Iterator[Floats]:
        with closing(self._open()) as db:
            for first in range(0, self.trials, at_once):
                rows = self._rows[first : first + at_once]
                piece = np.empty((self.periods, len(rows)), order="F")
                for column, row in enumerate(rows):
                    piece[:, column] = _read(db, row)
                yield piece

    def of(self, index: int) -> Floats:
        with closing(self._open()) as db:
            return _read(db, self._rows[index])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=30.0)


def _read(db: sqlite3.Connection, row: int) -> Floats:
    (blob,) = db.execute("SELECT returns FROM trial_returns WHERE rowid = ?", (row,)).fetchone()
    return np.frombuffer(blob, dtype="<f4").astype(np.float64)
