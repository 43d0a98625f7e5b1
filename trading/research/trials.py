"""What each trial of each study earned per day: what the search itself forgets, and validation needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

from trading.backtest.history import Floats

FILE: Final = "research_returns.db"

MAX_MB: Final = 200.0
"""Some 20,000 trials of ten years: a few months of nightly searches."""

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS trial_returns (
    study TEXT NOT NULL,
    number INTEGER NOT NULL,
    whole INTEGER NOT NULL,
    sharpe REAL NOT NULL,
    fills INTEGER NOT NULL,
    returns BLOB NOT NULL,
    PRIMARY KEY (study, number)
) STRICT
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialReturns:
    """One trial, out of sample. number: its number in the study. is_whole: whether it went through every
    window; a pruned trial did not. sharpe: per period, of all it went through. fills: how often it traded.
    returns: of the windows, stitched, shape (periods,), kept to 7 digits."""

    number: int
    is_whole: bool
    sharpe: float
    fills: int
    returns: Floats


class TrialLog:
    """Reads and writes the trials' returns in a SQLite file of their own, which is begun if there is none.

    A commit may be lost in a power cut, the file is not. Raises sqlite3.Error.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        mode = "ro" if read_only else "rwc"
        self._db = sqlite3.connect(
            f"{Path(path).absolute().as_uri()}?mode={mode}", uri=True, timeout=30.0, isolation_level=None
        )
        if not read_only:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(_TABLE)

    def __enter__(self) -> TrialLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()

    def put(self, study: str, trial: TrialReturns) -> None:
        """Store a trial; one of the same number, of a run that was cut off, is replaced."""
        self._db.execute(
            "INSERT OR REPLACE INTO trial_returns VALUES (?, ?, ?, ?, ?, ?)",
            (
                study,
                trial.number,
                int(trial.is_whole),
                trial.sharpe,
                trial.fills,
                trial.returns.astype("<f4").tobytes(),
            ),
        )

    def of(self, study: str) -> list[TrialReturns]:
        """Return a study's trials by number; none for one that is unknown, or was dropped."""
        rows = self._db.execute(
            "SELECT number, whole, sharpe, fills, returns FROM trial_returns WHERE study = ? ORDER BY number",
            (study,),
        )
        return [
            TrialReturns(
                number=number,
                is_whole=bool(whole),
                sharpe=sharpe,
                fills=fills,
                returns=np.frombuffer(returns, dtype="<f4").astype(np.float64),
            )
            for number, whole, sharpe, fills, returns in rows
        ]

    def matrix(self, study: str) -> tuple[list[int], Floats]:
        """Return the numbers of the trials that went through every window and traded, and their returns,
        shape (periods, trials), a column each: what the probability of overfitting is worked out from."""
        whole = [trial for trial in self.of(study) if trial.is_whole and trial.fills]
        if not whole:
            return [], np.empty((0, 0))
        return [trial.number for trial in whole], np.column_stack([trial.returns for trial in whole])

    def sharpes(self, studies: tuple[str, ...]) -> Floats:
        """Return the Sharpe ratio per period of every trial of these studies that traded, pruned ones too."""
        marks = ", ".join("?" * len(studies))
        rows = self._db.execute(
            f"SELECT sharpe FROM trial_returns WHERE study IN ({marks}) AND fills > 0 ORDER BY study, number",
            studies,
        )
        return np.array([row[0] for row in rows], dtype=np.float64)

    def drop_trial(self, study: str, number: int) -> None:
        """Forget a trial, of a run that was cut off."""
        self._db.execute("DELETE FROM trial_returns WHERE study = ? AND number = ?", (study, number))

    def drop(self, study: str) -> None:
        """Forget a study."""
        self._db.execute("DELETE FROM trial_returns WHERE study = ?", (study,))

    def bound(self, keep: Collection[str], max_mb: float = MAX_MB) -> list[str]:
        """Forget the oldest studies, but never those of `keep`, until the rest has no more than `max_mb`;
        return the forgotten ones. What their best earned can be made again from the ledger."""
        rows = self._db.execute(
            "SELECT study, sum(length(returns)) FROM trial_returns GROUP BY study ORDER BY max(rowid) DESC"
        ).fetchall()
        held, forgotten = 0, []
        for study, size in sorted(rows, key=lambda row: row[0] not in keep):
            held += size
            if held > max_mb * 1e6 and study not in keep:
                forgotten.append(study)
        for study in forgotten:
            self.drop(study)
        return forgotten


def sharpe_variance(sharpes: Floats) -> float:
    """Return the variance (ddof 1) of Sharpe ratios, shape (trials,); 0 for fewer than two."""
    return float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else 0.0
