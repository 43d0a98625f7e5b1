"""Search the strategies' parameters while the market is closed, and look closer at what was found.

--scope nightly searches every family on a few symbols, weekend on more and for longer, refine around the best
that they have found; each family's best becomes a CANDIDATE in ledger.db. walk-forward and bootstrap write
reports on the candidates and the strategies in use. Stopped or killed at any point, the next run goes on to
the same end.

Exit codes: 0 the goals are reached, or there are too few bars (it says so); 1 bars or databases cannot be
read or written; 2 wrong arguments; 75 stopped before the end (SIGTERM, or the deadline): what is done is
kept, the next run goes on.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts._job import EX_TEMPFAIL, StopRequest, finish, parse, parser

if TYPE_CHECKING:
    from trading.research.bars import TooFewBars, Universe
    from trading.research.candidates import Candidates
    from trading.research.search import Researches, Study

SEARCHES = ("nightly", "weekend", "refine")
STUDIES = ("walk-forward", "bootstrap")
CHECKPOINTED, SUCCEEDED = "CHECKPOINTED", "SUCCEEDED"


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir", "data_dir")
    made.add_argument("--scope", required=True, choices=(*SEARCHES, *STUDIES))
    made.add_argument("--families", nargs="+", metavar="NAME", help="default: all that suit daily bars")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="to choose from (default: all stored)")
    made.add_argument("--trials", type=int, metavar="N", help="of each family (default: the scope's)")
    made.add_argument("--seed", type=int, metavar="N", default=1, help="of the search (default: 1)")
    made.add_argument(
        "--keep-on",
        action="store_true",
        help="refine: round after round, wider and closer again, until ORCHESTRATOR_DEADLINE",
    )
    arguments = parse(made, argv)
    check(made, arguments)
    stop = StopRequest()
    from sqlalchemy.exc import SQLAlchemyError

    from trading.backtest.errors import BacktestError
    from trading.execution.errors import LedgerError

    arguments.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        if arguments.scope in STUDIES:
            return look_closer(arguments, stop)
        return search(arguments, stop)
    except (BacktestError, LedgerError, sqlite3.Error, SQLAlchemyError, OSError) as error:
        return finish(1, {"scope": arguments.scope, "error": str(error)}, f"run_research: {error}")


def check(made: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with code 2 for a family that there is not, and for numbers without sense."""
    from scripts._research import families

    known = families()
    arguments.families = known if arguments.families is None else arguments.families
    for name in arguments.families:
        if name not in known:
            made.error(f"--families: {name!r} is not searched; expected some of {', '.join(known)}")
    if arguments.trials is not None and arguments.trials < 1:
        made.error(f"--trials is {arguments.trials}: expected at least 1")
    if arguments.seed < 0:
        made.error(f"--seed is {arguments.seed}: expected a whole number from 0 up")
    if arguments.keep_on and arguments.scope != "refine":
        made.error("--keep-on goes with --scope refine: the other searches have an end")


def search(arguments: argparse.Namespace, stop: StopRequest) -> int:
    """Work on the scope's studies, alone in the state directory; return the exit code."""
    from scripts._research import alone, told_of
    from trading.research.bars import TooFewBars
    from trading.research.candidates import Candidates
    from trading.research.search import Researches

    found = universes(arguments)
    if isinstance(found, TooFewBars):
        return too_few(arguments.scope, found)
    with alone(arguments.state_dir / "research.lock") as is_alone:
        if not is_alone:
            report = {"scope": arguments.scope, "status": CHECKPOINTED, "progress": 0.0}
            return finish(EX_TEMPFAIL, report, "another search is at work here; this one waits its turn")
        with Researches(arguments.state_dir) as researches, Candidates(ledger(arguments)) as candidates:
            rounds = Rounds(arguments, researches, found, candidates, stop)
            left = rounds.run()
            told = [told_of(study) for study in rounds.studies.values()]
            researches.returns.bound(keep=list(rounds.studies))
            researches.forget()
            return conclude_run(arguments.scope, told, left)


@dataclass(slots=True)
class Rounds:
    """One round of a scope's studies; with --keep-on as many as there is time for.

    Between two rounds of a finer search the wide ones go on by as many trials as a round has: where that
    finds a new best, the next round looks around it. studies: all that were worked on, by name.
    """

    arguments: argparse.Namespace
    researches: Researches
    found: dict[str, Universe]
    candidates: Candidates
    stop: StopRequest
    studies: dict[str, Study] = field(init=False, default_factory=dict)

    def run(self) -> str:
        """Return why it is not at its end, empty if it is."""
        while True:
            began = self._trials()
            left = self._work_on(list(opened_studies(self.arguments, self.researches, self.found)))
            if left or not self.arguments.keep_on or self.stop.deadline is None:
                return left
            left = self._work_on(list(wider_studies(self.arguments, self.researches, self.found)))
            if left or self._trials() == began:
                return left

    def _work_on(self, opened: Sequence[Opened]) -> str:
        from scripts._research import Searching

        cuts = {each.study.name: each.universe.cut for each in opened}
        self.studies |= {each.study.name: each.study for each in opened}
        studies = [each.study for each in opened]
        return Searching(studies=studies, cuts=cuts, candidates=self.candidates, stop=self.stop).run()

    def _trials(self) -> int:
        return sum(len(study.finished()) for study in self.studies.values())


@dataclass(frozen=True, slots=True)
class Opened:
    study: Study
    universe: Universe


def universes(arguments: argparse.Namespace) -> dict[str, Universe] | TooFewBars:
    """Return what to search on, by width; a finer search looks at the studies of both."""
    from scripts._research import WIDTHS, least_bars
    from trading.research.bars import TooFewBars, universe_of

    found: dict[str, Universe] = {}
    for name in WIDTHS if arguments.scope == "refine" else (arguments.scope,):
        universe = universe_of(
            arguments.data_dir,
            symbols=arguments.symbols,
            at_most=WIDTHS[name].symbols,
            least=least_bars(),
        )
        if isinstance(universe, TooFewBars):
            return universe
        found[name] = universe
    return found


def opened_studies(
    arguments: argparse.Namespace, researches: Researches, found: dict[str, Universe]
) -> Iterator[Opened]:
    """Yield the studies to work on, begun or gone on with."""
    from scripts._research import FINER_TRIALS, WIDTHS, finer_plan, plan_of
    from trading.research.bars import research_bars

    finer, begun = arguments.scope == "refine", set[str]()
    # The widest first: where there is one, that is the search that a finer one begins from.
    for name, universe in sorted(found.items(), key=lambda item: -WIDTHS[item[0]].symbols):
        history = research_bars(arguments.data_dir, universe.symbols, universe.cut)
        for family in arguments.families:
            trials = arguments.trials or (FINER_TRIALS if finer else WIDTHS[name].trials)
            plan = plan_of(family, history, trials=trials, seed=arguments.seed)
            if not finer:
                yield Opened(researches.open(plan, history), universe)
                continue
            base = None if family in begun else researches.known(plan, history)
            around = None if base is None else finer_plan(base, trials)
            if around is not None:
                begun.add(family)
                yield Opened(researches.open(around, history), universe)


def wider_studies(
    arguments: argparse.Namespace, researches: Researches, found: dict[str, Universe]
) -> Iterator[Opened]:
    """Yield the searches that the finer ones began from, with a goal that lies a round further."""
    from scripts._research import FINER_TRIALS, MOST_TRIALS, WIDTHS, plan_of
    from trading.research.bars import research_bars

    yielded = set[str]()  # where few symbols are stored, both widths are one study
    for name, universe in sorted(found.items()):
        history = research_bars(arguments.data_dir, universe.symbols, universe.cut)
        for family in arguments.families:
            plan = plan_of(family, history, trials=WIDTHS[name].trials, seed=arguments.seed)
            base = researches.known(plan, history)
            if base is not None and base.name not in yielded and base.is_done and not base.is_hopeless:
                yielded.add(base.name)
                goal = min(MOST_TRIALS, len(base.finished()) + (arguments.trials or FINER_TRIALS))
                yield Opened(researches.open(replace(plan, goal=goal), history), universe)


def conclude_run(scope: str, told: Sequence[dict[str, Any]], left: str) -> int:
    """Write the result of a search and return the exit code. told: of each study; left: why it is not at its
    end, empty if it is."""
    done, goal = sum(min(each["trials"], each["goal"]) for each in told), sum(each["goal"] for each in told)
    candidates = [
        each["conclusion"]["candidate"] for each in told if (each["conclusion"] or {}).get("candidate")
    ]
    report: dict[str, Any] = {
        "scope": scope,
        "status": CHECKPOINTED if left else SUCCEEDED,
        "progress": round(done / goal, 4) if goal and left else 1.0,
        "trials": done,
        "goal": goal,
        "candidates": candidates,
        "studies": told,
    }
    if not told:
        report["remark"] = "nothing to refine yet: no search has come to its end with a gain"
        return finish(0, report, report["remark"])
    text = f"{scope}: {done} of {goal} trials in {len(told)} studies, {len(candidates)} candidates"
    if left:
        return finish(EX_TEMPFAIL, report, f"{text}; {left}, the next run goes on")
    return finish(0, report, text)


def look_closer(arguments: argparse.Namespace, stop: StopRequest) -> int:
    """Write the report of a scope on every candidate and strategy in use; return the exit code."""
    from scripts._closer_looks import CloserLooks

    looks = CloserLooks(
        scope=arguments.scope,
        state_dir=arguments.state_dir,
        data_dir=arguments.data_dir,
        stop=stop,
    )
    left = looks.run()
    report = looks.report(CHECKPOINTED if left else SUCCEEDED)
    text = f"{arguments.scope}: {report['remark']}"
    if left:
        return finish(EX_TEMPFAIL, report, f"{text}; {left}, the next run goes on")
    return finish(0, report, text)


def too_few(scope: str, found: TooFewBars) -> int:
    """Say that there is nothing to search on; that is no failure."""
    report = {"scope": scope, "status": SUCCEEDED, "progress": 1.0, "remark": f"no search: {found.reason}"}
    return finish(0, report, f"{scope}: no search: {found.reason}")


def ledger(arguments: argparse.Namespace) -> Path:
    """Return where the ledger is."""
    path: Path = arguments.state_dir / "ledger.db"
    return path


if __name__ == "__main__":
    sys.exit(main())
