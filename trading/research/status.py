"""What the studies have done so far, read from their files without changing them. Light: standard library."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trading.execution.errors import LedgerError
from trading.research.candidates import Candidate, Candidates

_RESEARCH: Final = "research.db"
_LEDGER: Final = "ledger.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStatus:
    """One study. complete, pruned, failed: trials that ended so; goal: how many it wants. seconds: they took
    together. best_value, best_parameters: of the best complete trial that traded; None: there is none.
    conclusion: what became of it once the goal was reached, `promotion.Conclusion.to_dict()`; None: not yet.
    """

    name: str
    kind: str
    family: str
    symbols: tuple[str, ...]
    data_from: str
    data_to: str
    seed: int
    goal: int
    complete: int
    pruned: int
    failed: int
    seconds: float
    best_value: float | None
    best_parameters: Mapping[str, Any] | None
    conclusion: Mapping[str, Any] | None

    @property
    def trials(self) -> int:
        return self.complete + self.pruned + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchStatus:
    """studies: the newest first. candidates: the oldest first. remark: why something could not be read."""

    studies: tuple[StudyStatus, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    remark: str = ""
    by_status: Mapping[str, int] = field(default_factory=dict)


def research_status(state_dir: Path) -> ResearchStatus:
    """Return what is known of the research in a state directory; what is not there yet is empty."""
    remarks: list[str] = []
    studies: tuple[StudyStatus, ...] = ()
    try:
        studies = tuple(studies_of(Path(state_dir) / _RESEARCH))
    except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
        remarks.append(f"{Path(state_dir) / _RESEARCH} cannot be read: {error}")
    candidates: tuple[Candidate, ...] = ()
    ledger = Path(state_dir) / _LEDGER
    if ledger.exists():
        try:
            with Candidates(ledger, read_only=True) as opened:
                candidates = tuple(opened.of_status())
        except LedgerError as error:
            remarks.append(str(error))
    return ResearchStatus(
        studies=studies,
        candidates=candidates,
        remark="; ".join(remarks),
        by_status=dict(Counter(each.status.value for each in candidates)),
    )


def studies_of(path: Path) -> Iterator[StudyStatus]:
    """Yield the studies of a research.db, the newest first; none if there is no such file.

    The tables are optuna's; of them only the studies' names, the trials' states and the attributes that
    `trading.research.search` gives are read.

    Raises:
        sqlite3.Error: if it is no such file.
    """
    if not path.exists():
        return
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
        for study, name in db.execute(
            "SELECT study_id, study_name FROM studies ORDER BY study_id DESC"
        ).fetchall():
            told = {
                key: json.loads(text)
                for key, text in db.execute(
                    "SELECT key, value_json FROM study_user_attributes WHERE study_id = ?", (study,)
                )
            }
            ends = [
                json.loads(text)
                for (text,) in db.execute(
                    "SELECT a.value_json FROM trial_user_attributes a JOIN trials t USING (trial_id) "
                    "WHERE t.study_id = ? AND a.key = 'ended' AND t.state <> 'RUNNING' ORDER BY t.number",
                    (study,),
                )
            ]
            # A study whose process was killed while it was begun has no attributes yet.
            if "data_to" in told:
                yield _status(name, told, ends)


def _status(name: str, told: Mapping[str, Any], ends: list[dict[str, Any]]) -> StudyStatus:
    states = Counter(end["state"] for end in ends)
    best = max(
        (end for end in ends if end["value"] is not None and end["fills"]),
        key=lambda end: end["value"],
        default=None,
    )
    return StudyStatus(
        name=name,
        kind=told["kind"],
        family=told["family"],
        symbols=tuple(told["symbols"]),
        data_from=told["data_from"],
        data_to=told["data_to"],
        seed=told["seed"],
        goal=told["goal"],
        complete=states["complete"],
        pruned=states["pruned"],
        failed=states["failed"],
        seconds=round(sum(end["seconds"] for end in ends), 1),
        best_value=None if best is None else best["value"],
        best_parameters=None if best is None else best["parameters"],
        conclusion=told.get("conclusion"),
    )
