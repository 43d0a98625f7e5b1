"""One candidate, from its bars to its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from trading.research.candidates import Candidate, CandidateStatus
from trading.research.objective import annual_sharpe
from trading.research.validation.battery import make_tests
from trading.research.validation.evidence import evidence_of
from trading.research.validation.memory import MemoryBudget
from trading.research.validation.progress import Progress
from trading.research.validation.promise import promise_of
from trading.research.validation.subject import Subject
from trading.research.validation.thresholds import Thresholds
from trading.research.validation.verdict import Judgement, VerdictKind, document_of

STATUS_OF: Final[Mapping[str, CandidateStatus | None]] = {
    VerdictKind.VALIDATED.value: CandidateStatus.VALIDATED,
    VerdictKind.REJECTED.value: CandidateStatus.REJECTED,
    VerdictKind.INCONCLUSIVE.value: None,
}
"""What a verdict makes of a candidate; None: it stays what it is."""


def judged(
    subject: Subject,
    thresholds: Thresholds,
    budget: MemoryBudget,
    progress_file: Path,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Return the verdict's document; None if it was stopped before the last test.

    progress_file: where what was found is kept, so that the next run goes on from there; the caller deletes
    it once the verdict is recorded. `holding` compares the Sharpe ratio, per year, with that of who buys the
    same symbols and holds them: for a person to read, no test. VALIDATED comes with a `promise`. Raises
    OSError.
    """
    evidence = evidence_of(subject)
    basis = document_of(subject.candidate, (), thresholds, evidence, Judgement(VerdictKind.INCONCLUSIVE, ()))
    progress = Progress(progress_file, basis)
    outcomes = make_tests(
        subject, thresholds, budget, done=progress.done, keep=progress.keep, stopped=stopped
    )
    if outcomes is None:
        return None
    document = document_of(subject.candidate, outcomes, thresholds, evidence)
    document["holding"] = {
        "own_sharpe": annual_sharpe(subject.replay.returns),
        "sharpe": annual_sharpe(subject.held().returns),
    }
    if document["verdict"] == VerdictKind.VALIDATED.value:
        cost_bps = subject.replay.fee_bps + subject.settings.config.slippage.spread_bps / 2
        document["promise"] = promise_of({each.name: each for each in outcomes}, cost_bps).to_dict()
    return document


def unseen(candidate: Candidate, thresholds: Thresholds, reason: str) -> dict[str, Any]:
    """Return the document of a candidate that cannot be looked at, for this reason."""
    return document_of(candidate, (), thresholds, {}, Judgement(VerdictKind.INCONCLUSIVE, (reason,)))
