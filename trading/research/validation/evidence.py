"""From a candidate in the ledger to what its tests need: stored bars, the study's returns, the code."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from trading.backtest.errors import BacktestError
from trading.backtest.history import PriceHistory, said
from trading.backtest.specification import versions
from trading.backtest.strategies.registry import STRATEGIES, made
from trading.backtest.strategy import IStrategy
from trading.marketdata.bars import BarStore
from trading.research.bars import research_bars
from trading.research.candidates import Candidate
from trading.research.objective import ResearchSettings
from trading.research.study_key import code_hash
from trading.research.trials import FILE
from trading.research.validation.study import LoggedReturns, StudyReturns
from trading.research.validation.subject import Subject


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a candidate cannot be looked at now, in words."""

    reason: str


def subject_of(candidate: Candidate, data_dir: Path, state_dir: Path) -> Subject | Missing:
    """Return the candidate with its bars and its study, as far as they are stored.

    Raises:
        BarStoreError: if stored bars cannot be read.
    """
    known = STRATEGIES.get(candidate.family)
    if known is None:
        return Missing(f"there is no strategy {candidate.family!r} any more")
    try:
        settings = ResearchSettings.from_dict(candidate.settings)
        studied = research_bars(data_dir, candidate.symbols, candidate.data_to)
        newest = newest_day(data_dir, candidate.symbols)
        later = research_bars(data_dir, candidate.symbols, newest)
        _made(candidate, candidate.parameters)
    except (BacktestError, ValueError, KeyError, TypeError) as error:
        return Missing(f"{type(error).__name__}: {error}")
    return Subject(
        candidate=candidate,
        settings=settings,
        studied=studied,
        later=later if newest > candidate.data_to else None,
        make=lambda parameters: _made(candidate, parameters),
        space=known.search,
        study=study_returns(state_dir, candidate.study),
    )


def newest_day(data_dir: Path, symbols: Sequence[str]) -> date:
    """Return the day of the newest stored bar of any of these symbols.

    Raises:
        BarStoreError: if a file cannot be read. ValueError: if none is stored.
    """
    store = BarStore(data_dir)
    return max(day for day in map(store.last_date, symbols) if day is not None)


def study_returns(state_dir: Path, study: str) -> StudyReturns | None:
    """Return what a study's trials earned; None: it is not stored."""
    path = state_dir / FILE
    if not path.exists():
        return None
    try:
        found = LoggedReturns(path, study)
    except sqlite3.DatabaseError:
        return None
    return found if found.trials else None


def evidence_of(subject: Subject) -> dict[str, Any]:
    """Return what a verdict rests on, as values that JSON knows: bars, study and code."""
    candidate, study = subject.candidate, subject.study
    strategy = type(subject.make(candidate.parameters)).__module__
    code = _code_of(("trading.research.validation.battery", strategy))
    return {
        "studied": _told(subject.studied),
        "same_bars": subject.studied.fingerprint == candidate.data_fingerprint,
        "later": None if subject.later is None else _told(subject.later),
        "new_days": subject.new_instants,
        "last_stamp": int((subject.later or subject.studied).stamps[-1]),
        "study_trials": 0 if study is None else study.trials,
        "code_hash": code,
        "versions": versions(),
    }


@cache
def _code_of(modules: tuple[str, ...]) -> str:
    """Read once: sources that change while this process runs do not change what it does."""
    return code_hash(modules)


def _told(history: PriceHistory) -> dict[str, Any]:
    return {
        "from": said(history.stamps[0]),
        "to": said(history.stamps[-1]),
        "instants": len(history),
        "fingerprint": history.fingerprint,
    }


def _made(candidate: Candidate, parameters: Mapping[str, Any]) -> IStrategy:
    return made(candidate.family, strategy_id=candidate.candidate_id, **parameters)
