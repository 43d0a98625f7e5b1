"""The reports on candidates that `run_research` writes, one candidate after the other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestration.clock import SystemClock
from scripts._job import StopRequest
from trading.backtest.errors import HistoryError
from trading.backtest.history import PriceHistory
from trading.marketdata.bars import BarStore
from trading.marketdata.files import replace_file
from trading.research.bars import research_bars
from trading.research.candidate_studies import CandidateStudy, bootstrap_study, walk_forward_study
from trading.research.candidates import Candidate, Candidates, CandidateStatus
from trading.research.limits import Ending, Limits, run_limited
from trading.research.trials import FILE, TrialLog

LOOKS: Final[dict[str, CandidateStudy]] = {"walk-forward": walk_forward_study, "bootstrap": bootstrap_study}
LIMITS: Final = Limits(seconds=900, memory_mb=250)


@dataclass(slots=True)
class CloserLooks:
    """One report: state_dir/research/SCOPE.json, what was found of each candidate by its id.

    Entries of the same bars stay as they are; those of candidates that are none any more go.
    """

    scope: str
    state_dir: Path
    data_dir: Path
    stop: StopRequest
    found: dict[str, dict[str, Any]] = field(init=False, default_factory=dict)
    looked: int = field(init=False, default=0)

    @property
    def path(self) -> Path:
        return self.state_dir / "research" / f"{self.scope}.json"

    def run(self) -> str:
        """Look at one candidate after the other; return why not at all of them, empty if so."""
        with Candidates(self.state_dir / "ledger.db") as candidates:
            due = candidates.of_status(CandidateStatus.CANDIDATE, CandidateStatus.VALIDATED)
        known = self._stored()
        with TrialLog(self.state_dir / FILE) as log:
            for candidate in due:
                if self.stop():
                    self.found |= {name: told for name, told in known.items() if name not in self.found}
                    return "asked to stop"
                name = str(candidate.candidate_id)
                told = self._look(candidate, known.get(name), log)
                if told is None:
                    return "asked to stop"
                self.found[name] = told
                self._keep(known)
        self._keep({})
        return ""

    def report(self, status: str) -> dict[str, Any]:
        """Return what the result file says."""
        return {
            "scope": self.scope,
            "status": status,
            "report": str(self.path),
            "remark": f"{len(self.found)} candidates, {self.looked} of them looked at anew",
            "candidates": self.found,
        }

    def _look(
        self, candidate: Candidate, known: dict[str, Any] | None, log: TrialLog
    ) -> dict[str, Any] | None:
        """Return what there is to say of a candidate; None: stopped."""
        try:
            history = self._bars(candidate)
        except HistoryError as error:
            return {"error": str(error)}
        if known is not None and known.get("bars") == history.fingerprint:
            return known
        trials = log.matrix(candidate.study)[1]
        taken: list[dict[str, Any]] = []

        def take(told: dict[str, Any]) -> bool:
            taken.append(told)
            return True

        ended = run_limited(
            lambda: iter([LOOKS[self.scope](candidate, history, trials)]),
            LIMITS,
            take=take,
            stopped=self.stop,
        )
        if ended.ending is Ending.STOPPED:
            return None
        self.looked += 1
        told = taken[0] if taken else {"error": ended.detail}
        return {
            "family": candidate.family,
            "status": candidate.status.value,
            "at": SystemClock().now().isoformat(timespec="seconds"),
            "bars": history.fingerprint,
            **told,
        }

    def _bars(self, candidate: Candidate) -> PriceHistory:
        """Return the bars to look at: those that the search saw, for by the later ones validation judges.
        Walk-forward, a strategy in use is looked at on all bars."""
        cut = candidate.data_to
        if self.scope == "walk-forward" and candidate.status is CandidateStatus.VALIDATED:
            store = BarStore(self.data_dir)
            stored = [symbol for symbol in candidate.symbols if symbol in store.symbols()]
            cut = max([cut, *(store.read(symbol).index[-1].date() for symbol in stored)])
        return research_bars(self.data_dir, candidate.symbols, cut)

    def _stored(self) -> dict[str, dict[str, Any]]:
        """Return the report as it is; empty if there is none that can be read."""
        try:
            found: dict[str, dict[str, Any]] = json.loads(self.path.read_text())["candidates"]
        except (OSError, ValueError, LookupError):
            return {}
        return found

    def _keep(self, known: dict[str, dict[str, Any]]) -> None:
        document = {"scope": self.scope, "candidates": known | self.found}
        replace_file(self.path, json.dumps(document, indent=1, sort_keys=True, allow_nan=False).encode())
