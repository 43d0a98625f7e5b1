"""From the outcomes to a verdict, and the document that holds all of it. Light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from trading.research.candidates import Candidate, Verdict
from trading.research.validation.outcome import Status, TestOutcome
from trading.research.validation.thresholds import Thresholds

KIND: Final = "validation"
"""What the document is, beside the checks of strategies in use."""

PREREQUISITES: Final = ("enough_trades", "enough_returns")
"""Without them a test that failed has told nothing, either."""


class VerdictKind(StrEnum):
    """VALIDATED: every test was passed. REJECTED: one was not. INCONCLUSIVE: what is missing, not what was
    found, stands in the way; the candidate stays one."""

    VALIDATED = "validated"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict. reasons: a line for each test that stood in the way; empty: VALIDATED."""

    kind: VerdictKind
    reasons: tuple[str, ...]


def judge(outcomes: Sequence[TestOutcome]) -> Judgement:
    """Return the verdict: REJECTED for a test that failed, unless there was too little data for any of them
    to tell; INCONCLUSIVE for one that is undecided; else VALIDATED.

    Raises:
        ValueError: if there is no outcome.
    """
    if not outcomes:
        raise ValueError("outcomes is empty: expected that of every test")
    undecided = [each for each in outcomes if each.status is Status.UNDECIDED]
    failed = [each for each in outcomes if each.status is Status.FAILED]
    lacking = [each for each in undecided if each.name in PREREQUISITES]
    if failed and not lacking:
        return Judgement(VerdictKind.REJECTED, tuple(map(reason_of, failed)))
    if undecided:
        return Judgement(VerdictKind.INCONCLUSIVE, tuple(map(reason_of, lacking or undecided)))
    return Judgement(VerdictKind.VALIDATED, ())


def reason_of(outcome: TestOutcome) -> str:
    """Return one outcome in a line: its number, what was asked, and its sentence."""
    if outcome.value is None:
        return f"{outcome.name}: {outcome.text}"
    return f"{outcome.name} is {outcome.value:.4g}, not {outcome.rule} {outcome.threshold:g}: {outcome.text}"


def validation_of(verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return the newest that is a validation, not a check of a strategy in use; None: there is none."""
    found = [each for each in verdicts if each.document.get("kind") == KIND]
    return found[-1] if found else None


def document_of(
    candidate: Candidate,
    outcomes: Sequence[TestOutcome],
    thresholds: Thresholds,
    evidence: Mapping[str, Any],
    judgement: Judgement | None = None,
) -> dict[str, Any]:
    """Return the verdict with all it rests on, as values that JSON knows; the same work gives the same one.

    evidence: the bars and the code it was made from. judgement: None: that of `judge`. No instant is in it:
    the ledger says when it was made.
    """
    judgement = judgement or judge(outcomes)
    return {
        "kind": KIND,
        "verdict": judgement.kind.value,
        "reasons": list(judgement.reasons),
        "candidate": {
            "id": candidate.candidate_id,
            "family": candidate.family,
            "parameters": dict(candidate.parameters),
            "symbols": list(candidate.symbols),
            "study": candidate.study,
            "trials": candidate.trials,
            "trial_sharpe_variance": candidate.trial_sharpe_variance,
            "objective": candidate.objective,
        },
        "seed": candidate.seed,
        "evidence": dict(evidence),
        "thresholds": thresholds.to_dict(),
        "tests": [outcome.to_dict() for outcome in outcomes],
    }
