"""Check that the strategies in use still do what their validation promised.

For each VALIDATED strategy: its performance on the bars since, its deepest fall, how often it traded, and
what its own fills cost, against what its verdict promised. A promise that is not kept is an alert, and is
recorded beside the verdict when it is new or over; the strategy stays in use: taking it out is a person's
decision.
Exit codes: 0 checked, or nothing is in use; 1 the ledger or the bars cannot be used; 2 wrong arguments; 75
asked to stop.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from scripts._execution import LEDGER
from scripts._job import EX_TEMPFAIL, StopRequest, finish, parse, parser
from trading.execution.errors import ExecutionError
from trading.execution.ledger.ledger import Ledger
from trading.marketdata.errors import BarStoreError
from trading.research.candidates import Candidate, Candidates, CandidateStatus
from trading.research.validation.verdict import validation_of

CHECK: Final = "check"
"""What the document is, beside validations."""
NOTHING: Final = "no strategy is in use: none is validated"


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir", "data_dir")
    arguments = parse(made, argv)
    stop, ledger = StopRequest(), arguments.state_dir / LEDGER
    if not ledger.exists():
        return finish(0, {"checked": []}, NOTHING)
    try:
        with Candidates(ledger) as candidates, Ledger(ledger, read_only=True) as orders:
            return Checking(candidates, orders, arguments.state_dir, arguments.data_dir).run(stop)
    except (ExecutionError, BarStoreError, OSError) as error:
        return finish(1, {"error": str(error)}, f"validate_strategies: {error}")


class Checking:
    """Checks the strategies in use, one at a time."""

    def __init__(self, candidates: Candidates, orders: Ledger, state_dir: Path, data_dir: Path) -> None:
        self._candidates, self._orders = candidates, orders
        self._state_dir, self._data_dir = state_dir, data_dir
        self._checked: list[dict[str, Any]] = []
        self._alerts: dict[str, str] = {}

    def run(self, stop: StopRequest) -> int:
        """Check them all; return the exit code."""
        in_use = self._candidates.in_use()
        for candidate in in_use:
            if stop():
                break
            self._check(candidate, stop)
        left = len(in_use) - len(self._checked)
        report = {"checked": self._checked, "left": left, "alerts": self._alerts}
        lines = [each["said"] for each in self._checked]
        return finish(EX_TEMPFAIL if left else 0, report, "\n".join(lines) or NOTHING)

    def _check(self, candidate: Candidate, stop: StopRequest) -> None:
        name = str(candidate.candidate_id)
        found = self._found(candidate)
        if isinstance(found, str):
            self._alerts[name] = f"{name} cannot be checked: {found}"
            self._checked.append({"strategy": name, "said": self._alerts[name]})
            return
        broken = sorted(each for each, check in found.items() if not check["kept"])
        if broken != self._told_before(name):
            document = {"kind": CHECK, "broken": broken, "checks": found}
            self._candidates.record_verdict(name, CandidateStatus.VALIDATED, document, stop.clock())
        self._alerts |= {
            f"{name} {each.replace('_', ' ')}": f"{name} does not keep its promise: {found[each]['text']}"
            for each in broken
        }
        kept = f"{len(found) - len(broken)} of {len(found)} promises kept"
        said = "; ".join([kept, *(found[each]["text"] for each in broken)])
        self._checked.append({"strategy": name, "checks": found, "said": f"{name}: {said}"})

    def _found(self, candidate: Candidate) -> dict[str, dict[str, Any]] | str:
        """Return the checks by name, or why there are none."""
        import numpy as np

        from trading.research.validation.evidence import Missing, subject_of
        from trading.research.validation.in_use import Since, check_since
        from trading.research.validation.promise import Promise

        verdict = validation_of(self._candidates.verdicts(str(candidate.candidate_id)))
        if verdict is None or "promise" not in verdict.document:
            return "its verdict holds no promise"
        subject = subject_of(candidate, self._data_dir, self._state_dir)
        if isinstance(subject, Missing):
            return subject.reason
        run = subject.run_since(verdict.document["evidence"]["last_stamp"])
        filled, paid_bps = paid_for(self._orders, str(candidate.candidate_id))
        since = Since(
            returns=np.empty(0) if run is None else run.returns,
            trades=0 if run is None else len(run.result.trades),
            filled=filled,
            paid_bps=paid_bps,
        )
        promise = Promise.from_dict(verdict.document["promise"])
        return {check.name: check.to_dict() for check in check_since(promise, since)}

    def _told_before(self, name: str) -> list[str]:
        """Return what was broken at the last check on record, if it came after the last validation."""
        document = self._candidates.verdicts(name)[-1].document
        return list(document["broken"]) if document.get("kind") == CHECK else []


def paid_for(orders: Ledger, strategy: str) -> tuple[int, float | None]:
    """Return how many fills the strategy's orders had, and what they cost against the price on arrival, fees
    included, in basis points of the traded value; None: nothing was filled. Raises LedgerError."""
    count, cost, traded = 0, 0.0, 0.0
    for order in orders.parents():
        if order.strategy_id != strategy or order.arrival_price is None:
            continue
        for fill in orders.fills(order.parent_id):
            count += 1
            worse = order.side.sign * (fill.price - order.arrival_price)
            cost += float(worse * fill.quantity + fill.fee)
            traded += float(fill.price * fill.quantity)
    return count, 1e4 * cost / traded if traded else None


if __name__ == "__main__":
    sys.exit(main())
