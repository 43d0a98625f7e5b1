"""The search for a family's parameters: a study that a kill interrupts, but does not change."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trading.backtest.history import PriceHistory, said
from trading.backtest.specification import versions
from trading.backtest.strategies.registry import STRATEGIES, Between, OneOf, SearchSpace, made
from trading.research.limits import Ended, Ending, Limits, run_limited
from trading.research.objective import (
    ResearchSettings,
    WindowScore,
    objective,
    period_sharpe,
    window_scores,
)
from trading.research.study_key import code_hash, study_key
from trading.research.trials import FILE as RETURNS_FILE
from trading.research.trials import TrialLog, TrialReturns, sharpe_variance

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

FILE: Final = "research.db"

ENDED: Final = "ended"
"""The attribute that a trial gets just before it is told as finished: what is told. A trial that was running
when its process was killed is finished from it, or, without it, is run again under a new number."""

RANDOM_TRIALS: Final = 10
"""Drawn at random before the sampler models anything, and finished before anything is pruned."""

UNPRUNED_WINDOWS: Final = 2

KEPT_STUDIES: Final = 4
"""Of each kind and family: a year's, if bars are never corrected. The ledger keeps what was found."""

HOPELESS_AFTER: Final = 5

TYPICAL_OF: Final = 10
"""Trials looked back on to say how long the next one takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """What to search.

    kind: "search" or "refine", part of the study's name. space: where. fixed: parameters that are not
    searched. goal: trials, after which the study has come to its end; more of them later go on with it.
    base: the name of the study whose best this one refines. hurdle: a best that comes to no more is not worth
    validating.

    Raises:
        ValueError: if the family has no such name, or the space no parameter.
    """

    kind: str
    family: str
    space: SearchSpace
    fixed: dict[str, Any] = field(default_factory=dict)
    settings: ResearchSettings
    limits: Limits = field(default_factory=Limits)
    seed: int
    goal: int
    base: str | None = None
    hurdle: float = 0.0

    def __post_init__(self) -> None:
        if self.family not in STRATEGIES:
            raise ValueError(f"family is {self.family!r}: expected one of {', '.join(STRATEGIES)}")
        if not self.space:
            raise ValueError(f"space of {self.family} is empty: expected at least one parameter to search")

    def configuration(self) -> dict[str, Any]:
        """Return all that a trial's result depends on besides code and bars."""
        return {
            "kind": self.kind,
            "family": self.family,
            "space": {name: [type(where).__name__, asdict(where)] for name, where in self.space.items()},
            "fixed": dict(self.fixed),
            "settings": self.settings.to_dict(),
            "limits": asdict(self.limits),
            "seed": self.seed,
            "base": self.base,
            "hurdle": self.hurdle,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """A finished trial. value: the objective, None unless it is complete. fills: how often it traded. reason:
    of a failed one."""

    number: int
    state: str
    parameters: Mapping[str, Any]
    value: float | None
    fills: int
    reason: str
    seconds: float


class Researches:
    """The studies in a state directory: research.db, which is optuna's own, and the trials' returns.

    step: called with "asked", "window", "stored", "ended" and "told" as a trial goes on (tests kill there).
    One process at a time may search; any number may read.
    """

    def __init__(self, state_dir: Path, *, step: Callable[[str], None] = lambda name: None) -> None:
        import optuna
        from sqlalchemy import event

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path = Path(state_dir) / FILE
        with closing(sqlite3.connect(path)) as begun:
            # With NORMAL a power cut costs the last trials, which are then run again; with optuna's ten
            # commits a trial, FULL would wear an SD card out.
            begun.execute("PRAGMA journal_mode = WAL")
        self.storage = optuna.storages.RDBStorage(
            f"sqlite:///{path.absolute()}", engine_kwargs={"connect_args": {"timeout": 30.0}}
        )
        event.listen(self.storage.engine, "connect", _in_haste)
        # The connection that made the tables was opened before.
        self._let_go()
        self.returns = TrialLog(Path(state_dir) / RETURNS_FILE)
        self.step = step

    def __enter__(self) -> Researches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.returns.close()
        self._let_go()

    def _let_go(self) -> None:
        self.storage.remove_session()
        self.storage.engine.dispose()

    def open(self, plan: StudyPlan, history: PriceHistory) -> Study:
        """Return the study of this plan on these bars with this code, begun or gone on with."""
        return Study(self, plan, history)

    def known(self, plan: StudyPlan, history: PriceHistory) -> Study | None:
        """Return the study of this plan if it was ever begun, with the goal that it had; else None."""
        import optuna

        key = study_key(code=_code(plan), bars=history.fingerprint, configuration=plan.configuration())
        name = _name(plan, key)
        if name not in optuna.get_all_study_names(self.storage):
            return None
        goal = optuna.load_study(study_name=name, storage=self.storage).user_attrs.get("goal", plan.goal)
        return Study(self, replace(plan, goal=goal), history)

    def forget(self, keep: int = KEPT_STUDIES) -> list[str]:
        """Delete all but the newest `keep` studies of each kind and family; return the deleted ones."""
        import optuna

        held: Counter[str] = Counter()
        forgotten = []
        for name in reversed(optuna.get_all_study_names(self.storage)):
            kind = name.rpartition("-")[0]
            held[kind] += 1
            if held[kind] > keep:
                forgotten.append(name)
        for name in forgotten:
            optuna.delete_study(study_name=name, storage=self.storage)
            self.returns.drop(name)
        return forgotten


class Study:
    """One family's search. Its trials depend on the seed and on the trials finished before, on nothing else.

    name: kind, family and key. Begun on construction if need be; what an interrupted run left is cleared up.
    """

    def __init__(self, researches: Researches, plan: StudyPlan, history: PriceHistory) -> None:
        import optuna

        self.plan = plan
        self.history = history
        self._researches = researches
        code = _code(plan)
        self.key = study_key(code=code, bars=history.fingerprint, configuration=plan.configuration())
        self.name = _name(plan, self.key)
        self._study = optuna.create_study(
            study_name=self.name,
            storage=researches.storage,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=RANDOM_TRIALS, n_warmup_steps=UNPRUNED_WINDOWS
            ),
        )
        self._describe(code)
        self._clear_up()
        trials = self._study.get_trials(deepcopy=False)
        # Kept, for nobody else adds any: to read them again for each trial would take longer than the trial.
        self._ends = [_end_of(trial) for trial in trials if _is_finished(trial)]

    def _describe(self, code: str) -> None:
        told = {
            **self.plan.configuration(),
            "key": self.key,
            "goal": self.plan.goal,
            "symbols": list(self.history.symbols),
            "data_fingerprint": self.history.fingerprint,
            "data_from": said(self.history.stamps[0])[:10],
            "data_to": said(self.history.stamps[-1])[:10],
            "code_hash": code,
            "code_version": versions()["daily-orchestrator"],
        }
        stored = self._study.user_attrs
        for name, value in told.items():
            if name not in stored or stored[name] != value:
                self._study.set_user_attr(name, value)

    def _clear_up(self) -> None:
        """Finish what a killed process left running: by what it was about to tell, or as not run."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if ENDED in trial.user_attrs:
                self._tell(trial.number, trial.user_attrs[ENDED])
            else:
                self._abandon(trial.number)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What is on record of the study as a whole."""
        found: Mapping[str, Any] = self._study.user_attrs
        return found

    def conclude(self, conclusion: Mapping[str, Any]) -> None:
        """Put on record what became of the study's best."""
        self._study.set_user_attr("conclusion", dict(conclusion))

    def finished(self) -> list[TrialEnd]:
        """Return the finished trials in their order; without those that were cut off and run again."""
        return list(self._ends)

    @property
    def is_done(self) -> bool:
        """Whether it has reached its goal, or every one of its first trials has failed."""
        return len(self._ends) >= self.plan.goal or self.is_hopeless

    @property
    def is_hopeless(self) -> bool:
        """Whether every trial has failed, and there were enough of them: a library is missing, say."""
        return len(self._ends) >= HOPELESS_AFTER and all(end.state == "failed" for end in self._ends)

    def best(self) -> TrialEnd | None:
        """Return the complete trial with the highest value, of equals the first; None if none has traded."""
        whole = [trial for trial in self._ends if trial.value is not None and trial.fills]
        return max(whole, key=lambda trial: (trial.value, -trial.number), default=None)

    def typical_seconds(self) -> float | None:
        """Return how long the next trial may well take: the longest of the last ones; None: none is known."""
        return max((trial.seconds for trial in self._ends[-TYPICAL_OF:]), default=None)

    @cached_property
    def windows(self) -> int:
        return len(self.plan.settings.plan.windows(len(self.history)))

    def run_trial(self, stopped: Callable[[], bool] = lambda: False) -> TrialEnd | None:
        """Run the next trial, in a process of its own; return how it ended.

        stopped: looked at while it runs; True: the trial is killed, None returned, and the next call runs it
        again, to the same result.
        """
        self._study.sampler = _sampler(self.plan.seed, len(self._ends))
        trial = self._study.ask()
        searched = {name: _suggested(trial, name, where) for name, where in self.plan.space.items()}
        parameters = {**self.plan.fixed, **searched}
        self._step("asked")
        scores: list[WindowScore] = []
        ended = run_limited(
            lambda: self._scores(parameters),
            self.plan.limits,
            take=lambda score: self._take(trial, scores, score),
            stopped=stopped,
        )
        if ended.ending is Ending.STOPPED:
            self._abandon(trial.number)
            return None
        told = self._told(trial.number, parameters, scores, ended)
        self._step("stored")
        trial.set_user_attr(ENDED, told)
        self._step("ended")
        self._tell(trial.number, told)
        self._step("told")
        self._ends.append(TrialEnd(number=trial.number, **told))
        return self._ends[-1]

    def _scores(self, parameters: Mapping[str, Any]) -> Iterator[WindowScore]:
        settings = self.plan.settings.without_look_ahead_check()
        return window_scores(made(self.plan.family, **parameters), self.history, settings)

    def _take(self, trial: optuna.Trial, scores: list[WindowScore], score: WindowScore) -> bool:
        """Note a window's score; say whether the trial is worth going on with."""
        scores.append(score)
        trial.report(_value_of(scores), step=len(scores) - 1)
        self._step("window")
        return len(scores) == self.windows or not trial.should_prune()

    def _told(
        self, number: int, parameters: Mapping[str, Any], scores: list[WindowScore], ended: Ended
    ) -> dict[str, Any]:
        """Keep what the trial earned; return what there is to tell of it."""
        states = {Ending.DONE: "complete", Ending.LEFT: "pruned"}
        state = states.get(ended.ending, "failed")
        if scores and state != "failed":
            returns = np.concatenate([score.returns for score in scores])
            self._researches.returns.put(
                self.name,
                TrialReturns(
                    number=number,
                    is_whole=state == "complete",
                    sharpe=period_sharpe(returns),
                    fills=sum(score.fills for score in scores),
                    returns=returns,
                ),
            )
        return {
            "state": state,
            "parameters": {name: _plain(value) for name, value in parameters.items()},
            "value": _value_of(scores) if state == "complete" else None,
            "fills": sum(score.fills for score in scores),
            "reason": ended.detail if state == "failed" else "",
            "seconds": round(ended.seconds, 3),
        }

    def _tell(self, number: int, told: Mapping[str, Any]) -> None:
        from optuna.trial import TrialState

        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        self._study.tell(number, told["value"], state=states[told["state"]])

    def _abandon(self, number: int) -> None:
        from optuna.trial import TrialState

        self._researches.returns.drop_trial(self.name, number)
        self._study.tell(number, state=TrialState.FAIL)

    def _step(self, name: str) -> None:
        self._researches.step(name)

    def tried(self) -> tuple[int, float]:
        """Return how many trials the search took and the variance of their Sharpe ratios per period; those of
        the study that this one refines count too."""
        count, studies = len(self._ends), [self.name]
        if self.plan.base is not None:
            count += _count(self._researches.storage, self.plan.base)
            studies.append(self.plan.base)
        return count, sharpe_variance(self._researches.returns.sharpes(tuple(studies)))


def _code(plan: StudyPlan) -> str:
    return code_hash((STRATEGIES[plan.family].strategy.__module__, "trading.research.objective"))


def _name(plan: StudyPlan, key: str) -> str:
    return f"{plan.kind}-{plan.family}-{key[:12]}"


def narrowed(space: SearchSpace, best: Mapping[str, Any]) -> tuple[dict[str, Between], dict[str, Any]]:
    """Return a finer space around the best parameters, and those that stay as they are: choices, and numbers
    with no room. A sixth of the range to either side, whole numbers one by one."""
    finer: dict[str, Between] = {}
    fixed: dict[str, Any] = {}
    for name, where in space.items():
        value = best[name]
        around = _around(where, value) if isinstance(where, Between) else None
        if around is None:
            fixed[name] = value
        else:
            finer[name] = around
    return finer, fixed


def _around(where: Between, value: float) -> Between | None:
    reach = (where.high - where.low) / 6
    low, high = max(where.low, value - reach), min(where.high, value + reach)
    if where.is_whole:
        low, high = int(np.ceil(low)), int(np.floor(high))
    return Between(low, high, log=where.log) if low < high else None


def _value_of(scores: list[WindowScore]) -> float:
    return objective([score.sharpe for score in scores], sum(score.fills for score in scores))


def _sampler(seed: int, done: int) -> optuna.samplers.TPESampler:
    """Return the sampler of the trial that follows `done` finished ones: it remembers nothing, so that it is
    the same in a process that has just been started."""
    import optuna

    own = int(np.random.SeedSequence([seed, done]).generate_state(1)[0])
    return optuna.samplers.TPESampler(
        seed=own, n_startup_trials=RANDOM_TRIALS, multivariate=True, constant_liar=False
    )


def _suggested(trial: optuna.Trial, name: str, where: Between | OneOf) -> Any:
    if isinstance(where, OneOf):
        # optuna keeps scalars only; a choice may be a tuple.
        return where.choices[trial.suggest_categorical(name, list(range(len(where.choices))))]
    if where.is_whole:
        return trial.suggest_int(
            name, int(where.low), int(where.high), step=int(where.step or 1), log=where.log
        )
    return trial.suggest_float(name, where.low, where.high, step=where.step, log=where.log)


def _end_of(trial: FrozenTrial) -> TrialEnd:
    return TrialEnd(number=trial.number, **trial.user_attrs[ENDED])


def _count(storage: optuna.storages.RDBStorage, name: str) -> int:
    import optuna

    study = optuna.load_study(study_name=name, storage=storage)
    return sum(_is_finished(trial) for trial in study.get_trials(deepcopy=False))


def _is_finished(trial: FrozenTrial) -> bool:
    """Whether a trial has ended, and not only its process."""
    return trial.state.is_finished() and ENDED in trial.user_attrs


def _plain(value: Any) -> Any:
    """JSON, in which it is stored, knows no tuples."""
    return list(value) if isinstance(value, tuple) else value


def _in_haste(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
