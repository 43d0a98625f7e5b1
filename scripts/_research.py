"""What `run_research` searches, in which order, and for how long."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from orchestration.clock import SystemClock
from scripts._job import StopRequest
from trading.backtest.history import PriceHistory
from trading.backtest.strategies.registry import STRATEGIES, OneOf, SearchSpace
from trading.research.candidates import Candidates
from trading.research.limits import Limits
from trading.research.objective import ResearchSettings
from trading.research.promotion import conclude, is_concluded
from trading.research.search import Study, StudyPlan, narrowed
from trading.research.walk_forward import WalkForward

SEED: Final = 1

LEAST_WINDOWS: Final = 3
"""A median of fewer is one window's luck."""

LONG: Final = WalkForward(train=1008)
SHORT: Final = WalkForward(train=504)
"""Before its first test a strategy may need the four years; where there are not as many bars, two."""

NOT_SEARCHED: Final = {
    "declared_moving_average": "its decisions are those of moving_average",
    "order_imbalance": "it wants intraday bars",
    "book_imbalance": "it wants bars made from order books",
}

PAIRED: Final = 6
"""Pairs are searched among so many symbols, those with the largest turnover: 15 pairs."""

FINISH_S: Final = 10.0
"""How long a trial may go on after SIGTERM: the daemon kills after 20 s."""

SLACK: Final = 1.3
"""A trial is begun if this many times the longest of the last ones fits."""


LIMITS: Final = Limits(seconds=600, memory_mb=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """How wide a search is. symbols: at most. trials: of each family."""

    symbols: int
    trials: int


WIDTHS: Final = {"nightly": Width(symbols=8, trials=200), "weekend": Width(symbols=40, trials=400)}
"""Where fewer symbols are stored the two are one study: the weekend goes on where the nights have come to.
On a 2-core x86-64 box a quarter of an hour and 350 MB the one, five hours and 365 MB the other (from 12 and 2
trials each), most of it for learned, statistical_arbitrage and pairs: another's trial takes 0.1 to 0.3 s."""

FINER_TRIALS: Final = 60

MOST_TRIALS: Final = 2_000
"""Of one wide search: beyond that more of them find the noise rather than the strategy, and choosing each
next one takes longer than running it."""


def families() -> list[str]:
    """Return the families that are searched: those with a space, for daily bars, whose libraries are
    installed."""
    found = [name for name, each in STRATEGIES.items() if each.search and name not in NOT_SEARCHED]
    return [name for name in found if name != "learned" or find_spec("sklearn") is not None]


def least_bars() -> int:
    """Return how many bars a search needs."""
    return SHORT.instants(LEAST_WINDOWS)


def plan_of(family: str, history: PriceHistory, *, trials: int, seed: int) -> StudyPlan:
    """Return the plan of a search of one family on these bars."""
    long = len(history) >= LONG.instants(LEAST_WINDOWS)
    return StudyPlan(
        kind="search",
        family=family,
        space=space_of(family, history.symbols),
        settings=ResearchSettings(plan=LONG if long else SHORT),
        limits=LIMITS,
        seed=seed,
        goal=trials,
    )


def space_of(family: str, symbols: Sequence[str]) -> SearchSpace:
    """Return where a family's parameters are looked for; a pair is one of them."""
    space = dict(STRATEGIES[family].search)
    if family == "pairs":
        space["symbols"] = OneOf(tuple(combinations(symbols[:PAIRED], 2)))
    return space


def finer_plan(base: Study, trials: int) -> StudyPlan | None:
    """Return the plan of a finer search around the best of a concluded study; None: there is nothing to
    refine."""
    best = base.best()
    if not is_concluded(base) or best is None or best.value is None or best.value <= 0:
        return None
    space, fixed = narrowed(base.plan.space, best.parameters)
    if not space:
        return None
    return replace(
        base.plan,
        kind="refine",
        space=space,
        fixed=base.plan.fixed | fixed,
        goal=trials,
        base=base.name,
        hurdle=best.value,
    )


@dataclass(slots=True)
class Searching:
    """Studies worked on in turn: the next trial is one of the study that has the fewest.

    cuts: by study, the last day that it sees.
    """

    studies: Sequence[Study]
    cuts: Mapping[str, date]
    candidates: Candidates
    stop: StopRequest
    clock: SystemClock = field(default_factory=SystemClock)
    _asked_at: float | None = field(init=False, default=None)

    def run(self) -> str:
        """Search until every study has reached its goal and is concluded; return why not, empty if so."""
        while True:
            if self.stop():
                return "asked to stop" if self.stop.signalled else "the deadline has come"
            if not self._conclude_all():
                return "asked to stop"
            waiting = [study for study in self.studies if not study.is_done]
            if not waiting:
                return ""
            fitting = [study for study in waiting if self._fits(study)]
            if not fitting:
                return "the next trial would end after the deadline"
            min(fitting, key=lambda study: len(study.finished())).run_trial(self._must_leave)

    def _conclude_all(self) -> bool:
        """Conclude from the studies that have reached their goal; False: stopped on the way."""
        return all(
            conclude(
                study,
                self.candidates,
                cut=self.cuts[study.name],
                at=self.clock.now(),
                stopped=self._must_leave,
            )
            for study in self.studies
            if study.is_done and not is_concluded(study)
        )

    def _fits(self, study: Study) -> bool:
        seconds = study.typical_seconds()
        if self.stop.deadline is None or seconds is None:
            return True
        return self.clock.now() + timedelta(seconds=SLACK * seconds) < self.stop.deadline

    def _must_leave(self) -> bool:
        """Whether the trial at hand has had its time since we were asked to stop."""
        if not self.stop():
            return False
        if self._asked_at is None:
            self._asked_at = self.clock.monotonic()
        return self.clock.monotonic() - self._asked_at > FINISH_S


def told_of(study: Study) -> dict[str, Any]:
    """Return what a result file says of a study."""
    ends = study.finished()
    best = study.best()
    counts = {state: sum(end.state == state for end in ends) for state in ("complete", "pruned", "failed")}
    failed = [end.reason for end in ends if end.state == "failed"]
    return {
        "study": study.name,
        "family": study.plan.family,
        "trials": len(ends),
        "goal": study.plan.goal,
        **counts,
        "last_failure": failed[-1] if failed else None,
        "best_value": None if best is None else best.value,
        "best_parameters": None if best is None else dict(best.parameters),
        "conclusion": study.attributes.get("conclusion"),
    }


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Yield whether this is the only process to search in a state directory; it is until the end of the
    block."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
