"""From a study's best to a candidate in the ledger: made again, with every answer asked for bars to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from trading.backtest.strategies.registry import made
from trading.research.candidates import Candidate, Candidates
from trading.research.limits import Ending, Limits, run_limited
from trading.research.objective import WindowScore, objective, window_scores
from trading.research.search import Study, TrialEnd

CHECK_TAKES: Final = 20.0
"""Seconds that the check for bars to come may take for each that a trial may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What became of a study's best. candidate_id: None: it is none, for `reason`."""

    trials: int
    candidate_id: str | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return every field as values that JSON knows."""
        return {"trials": self.trials, "candidate": self.candidate_id, "reason": self.reason}


def is_concluded(study: Study) -> bool:
    """Whether what the study has found so far was concluded from."""
    conclusion = study.attributes.get("conclusion")
    return conclusion is not None and conclusion["trials"] == len(study.finished())


def conclude(
    study: Study,
    candidates: Candidates,
    *,
    cut: date,
    at: datetime,
    stopped: Callable[[], bool] = lambda: False,
) -> Conclusion | None:
    """Make the study's best a CANDIDATE, if it earned anything and can be made again; return what became of
    it, which is put on record, or None if it was stopped: the next call does it all.

    cut: the day that `research_bars` was given.

    Raises:
        LedgerError: if the ledger cannot be written.
    """
    trials, best = len(study.finished()), study.best()
    reason: str | None
    candidate_id = None
    if best is None or best.value is None:
        reason = _nothing(study)
    elif best.value <= study.plan.hurdle:
        hurdle = study.plan.hurdle
        reason = f"the best, trial {best.number}, comes to {best.value:.3f}: expected more than {hurdle:.3f}"
    else:
        reason = _difference(study, best, stopped)
        if reason is None:
            return None
        if not reason:
            candidate_id = candidates.add(candidate_of(study, best, cut, at)).candidate_id
    found = Conclusion(trials=trials, candidate_id=candidate_id, reason=reason)
    study.conclude(found.to_dict())
    return found


def candidate_of(study: Study, best: TrialEnd, cut: date, at: datetime) -> Candidate:
    """Return a study's best as a candidate, with all that reproduces it."""
    plan, told = study.plan, study.attributes
    trials, variance = study.tried()
    assert best.value is not None
    return Candidate(
        family=plan.family,
        parameters=dict(best.parameters),
        symbols=study.history.symbols,
        settings=plan.settings.to_dict(),
        data_fingerprint=told["data_fingerprint"],
        data_from=date.fromisoformat(told["data_from"]),
        data_to=cut,
        code_version=told["code_version"],
        code_hash=told["code_hash"],
        seed=plan.seed,
        study=study.name,
        trials=trials,
        trial_sharpe_variance=variance,
        objective=best.value,
        created_at=at,
    )


def _nothing(study: Study) -> str:
    if study.is_hopeless:
        return f"every trial failed: {study.finished()[-1].reason}"
    return "no trial went through every window and traded"


def _difference(study: Study, best: TrialEnd, stopped: Callable[[], bool]) -> str | None:
    """Say why the best is not what it seems, made again with its answers checked; empty: it is. None: it was
    stopped."""
    plan, scores = study.plan, list[WindowScore]()

    def work() -> Iterator[WindowScore]:
        return window_scores(made(plan.family, **best.parameters), study.history, plan.settings)

    def take(score: WindowScore) -> bool:
        scores.append(score)
        return True

    limits = Limits(seconds=CHECK_TAKES * plan.limits.seconds, memory_mb=plan.limits.memory_mb)
    ended = run_limited(work, limits, take=take, stopped=stopped)
    if ended.ending is Ending.STOPPED:
        return None
    if ended.ending is not Ending.DONE:
        return f"trial {best.number} cannot be made again: {ended.detail}"
    again = objective([score.sharpe for score in scores], sum(score.fills for score in scores))
    if again != best.value:
        return f"trial {best.number} came to {best.value!r} and comes to {again!r} now"
    return ""
