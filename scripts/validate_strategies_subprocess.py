"""Put every CANDIDATE strategy through the tests of its validation and record the verdict.

    python scripts/validate_strategies_subprocess.py --all-candidates --memory-limit 1500
    python scripts/validate_strategies_subprocess.py --candidate rsi-0123456789abcdef

A verdict is in ledger.db before it is reported; what each test found, against which threshold, is in
reports/validation/ of the state directory, by candidate and in an overview. What cannot be told yet is
INCONCLUSIVE: the candidate stays one, and is judged again. Asked to stop, or out of time, it finishes the
test at hand; the next run goes on with the one after it. --candidate judges one again, whatever its status
is. Exit codes: 0 all judged; 1 the ledger or the bars cannot be used; 2 wrong arguments; 75 stopped before
the last one.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

if not __package__:
    # Started by its path: Python has put this folder first, where `scripts` itself cannot be found.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from scripts._job import EX_TEMPFAIL, StopRequest, finish, parse, parser
from trading.execution.errors import ExecutionError
from trading.marketdata.errors import BarStoreError
from trading.research.candidates import Candidate, Candidates, CandidateStatus
from trading.research.validation.memory import MemoryBudget
from trading.research.validation.thresholds import Thresholds

LEDGER: Final = "ledger.db"
PROGRESS: Final = "validation"
"""The folder, in the state directory, of what unfinished validations have found."""
NOTHING: Final = "no candidate waits to be judged"
LIMIT_MB: Final = 1500.0


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir", "data_dir")
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument("--all-candidates", action="store_true", help="all that are not judged yet")
    which.add_argument("--candidate", metavar="ID", help="this one, whatever its status")
    made.add_argument(
        "--memory-limit", type=float, default=LIMIT_MB, metavar="MB", help=f"default: {LIMIT_MB:g}"
    )
    arguments = parse(made, argv)
    if not arguments.memory_limit > 0:
        made.error(f"argument --memory-limit: {arguments.memory_limit:g}: expected MB above 0")
    stop, ledger = StopRequest(), arguments.state_dir / LEDGER
    if not ledger.exists():
        return finish(0, {"judged": []}, NOTHING)
    try:
        with Candidates(ledger) as candidates:
            chosen = candidates.of_status(CandidateStatus.CANDIDATE)
            if arguments.candidate is not None:
                every = {each.candidate_id: each for each in candidates.of_status()}
                if arguments.candidate not in every:
                    made.error(f"argument --candidate: {ledger} has no candidate {arguments.candidate!r}")
                chosen = [every[arguments.candidate]]
            job = Validation(candidates, arguments.state_dir, arguments.data_dir, arguments.memory_limit)
            return job.run(chosen, stop)
    except (ExecutionError, BarStoreError, OSError) as error:
        return finish(1, {"error": str(error)}, f"validate_strategies_subprocess: {error}")


class Validation:
    """Judges candidates, one at a time."""

    def __init__(self, candidates: Candidates, state_dir: Path, data_dir: Path, limit_mb: float) -> None:
        self._candidates = candidates
        self._state_dir, self._data_dir = state_dir, data_dir
        self._budget, self._thresholds = MemoryBudget(limit_mb), Thresholds()
        self._documents: dict[str, dict[str, Any]] = {}
        self._alerts: dict[str, str] = {}

    def run(self, chosen: list[Candidate], stop: StopRequest) -> int:
        """Judge these; return the exit code."""
        left = len(chosen)
        for candidate in chosen:
            if stop() or not self._judge(candidate, stop):
                break
            left -= 1
        return self._conclude(left, stop.clock())

    def _judge(self, candidate: Candidate, stop: StopRequest) -> bool:
        """Judge one and record its verdict; return whether there is one."""
        from trading.research.validation.judging import STATUS_OF

        name = str(candidate.candidate_id)
        progress = self._state_dir / PROGRESS / f"{name}.json"
        document = self._document(candidate, progress, stop)
        if document is None:
            return False
        status = STATUS_OF[document["verdict"]]
        if status is not None:
            self._candidates.record_verdict(name, status, document, stop.clock())
            progress.unlink(missing_ok=True)
        self._documents[name] = document
        return True

    def _document(self, candidate: Candidate, progress: Path, stop: StopRequest) -> dict[str, Any] | None:
        from trading.research.validation.evidence import Missing, subject_of
        from trading.research.validation.judging import judged, unseen

        try:
            subject = subject_of(candidate, self._data_dir, self._state_dir)
            if isinstance(subject, Missing):
                return unseen(candidate, self._thresholds, subject.reason)
            return judged(subject, self._thresholds, self._budget, progress, stop)
        except OSError:
            raise
        except Exception as error:
            # A strategy may raise anything; it must not keep the others from being judged.
            reason = f"its validation broke off: {type(error).__name__}: {error}"
            self._alerts[f"validation of {candidate.candidate_id}"] = f"{candidate.candidate_id}: {reason}"
            return unseen(candidate, self._thresholds, reason)

    def _conclude(self, left: int, at: datetime) -> int:
        """Write the reports; say what was found and return the exit code."""
        from scripts._validation_report import write_reports
        from trading.research.validation.memory import peak_mb

        overview = write_reports(self._candidates, self._documents, self._state_dir / "reports", at)
        judged = [
            {"candidate": name, "verdict": document["verdict"], "reasons": document["reasons"]}
            for name, document in self._documents.items()
        ]
        peak = peak_mb()
        report = {
            "judged": judged,
            "left": left,
            "memory_limit_mb": self._budget.limit_mb,
            "peak_memory_mb": round(peak, 1),
            "report": overview,
            "alerts": self._alerts,
        }
        lines = [f"{each['candidate']}: {each['verdict'].upper()}" for each in judged]
        if left:
            lines.append(f"stopped: {left} candidates are left for the next run")
        if peak > self._budget.limit_mb:
            lines.append(
                f"took {peak:.0f} MB, which bars and program alone come to: pieces were the smallest"
            )
        return finish(EX_TEMPFAIL if left else 0, report, "\n".join(lines) or NOTHING)


if __name__ == "__main__":
    sys.exit(main())
